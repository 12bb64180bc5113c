"""What importing loads: nobody pays for a part that is not used."""

import json
import subprocess
import sys

import dspy
import pytest

from po_optimizer import save_program
from tests.faces.project import ENVIRONMENT, ROOT, copy_project

HEAVY = {
    *("kedro", "kedro_datasets", "xllamacpp", "plotly", "litellm", "optuna"),
    *("dspy", "pandas", "scipy", "numpy", "rich", "jinja2", "omegaconf", "distributed"),
}


def loaded(code: str, *arguments: str) -> set[str]:
    """The heavy packages that a fresh process has loaded after the code."""
    code += (
        "\nimport json; print(json.dumps([m.partition('.')[0] for m in sys.modules]))"
    )
    done = subprocess.run(  # noqa: S603 -- our own interpreter
        [sys.executable, "-c", f"import sys\n{code}", *arguments],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    modules = json.loads(done.stdout.splitlines()[-1])
    return HEAVY & {module.partition(".")[0] for module in modules}


@pytest.mark.parametrize(
    ("code", "allowed"),
    [
        ("import po_optimizer", set()),
        ("from po_optimizer import load_program; load_program(sys.argv[1])", {"dspy"}),
        (
            "from po_optimizer import optimize",
            {"dspy", "rich", "numpy", "scipy", "pandas"},
        ),
    ],
    ids=["import", "load", "optimize"],
)
def test_what_is_not_used_is_not_loaded(code, allowed, tmp_path):
    """A stored program needs neither Kedro nor an LM's runtime, a run no pages."""
    path = tmp_path / "program.json"
    save_program(dspy.Predict("question -> answer"), path, dill="off", verify="off")
    assert loaded(code, str(path)) <= allowed


def test_help_loads_no_command():
    """What one can do is shown at once; Kedro alone takes a second."""
    code = (
        "from po_optimizer.__main__ import main\n"
        "main(['--help'], standalone_mode=False)"
    )
    assert loaded(code) == set()


def test_stored_program_is_shown_without_kedro(tmp_path):
    """Outside a project Kedro would log its own settings into what is shown."""
    save_program(dspy.Predict("a -> b"), tmp_path / "p.json", dill="off", verify="off")
    code = (
        "from po_optimizer.__main__ import main\n"
        f"main(['show', {str(tmp_path / 'p.json')!r}], standalone_mode=False)"
    )
    assert "kedro" not in loaded(code)


def test_finished_runs_are_listed_without_dspy_and_kedro(tmp_path):
    """A table of files takes no second of imports."""
    code = (
        "from po_optimizer.__main__ import main\n"
        f"main(['runs', '--reporting', {str(tmp_path)!r}], standalone_mode=False)"
    )
    assert loaded(code) <= {"rich"}


def test_ollama_and_vertex_are_asked_and_priced_without_litellm(tmp_path):
    """LiteLLM's import alone takes three times as long as DSPy's."""
    code = """
from pathlib import Path
from pytest import MonkeyPatch
from po_optimizer.lms.build import make_lm
from po_optimizer.params.lm import LMParams
from tests.servers import google
from tests.servers.wire import serving
with serving(lambda prompt: "yes") as server, MonkeyPatch.context() as patch:
    google.log_in(patch, Path(sys.argv[1]), server.address)
    for provider, model in (("ollama", "m"), ("vertex", "gemini-2.5-flash")):
        params = LMParams(provider=provider, model=model, api_base=server.address)
        lm = make_lm(params, sys.argv[1], run_id="r")
        assert lm("really?") == ["yes"]
        assert lm.meter.ledger.totals().cost_usd is not None
"""
    assert "litellm" not in loaded(code, str(tmp_path))


def test_a_run_asks_its_lm_before_it_loads_what_it_does_not_need(tmp_path):
    """Until the first LM call nothing of tables, statistics or notebooks is loaded."""
    code = f"""
import os
from tests.servers.wire import serving
os.chdir(sys.argv[1])
def answer(prompt):
    print("\\n" + "\\n".join(sys.modules), flush=True)
    os._exit(0)
with serving(answer) as server:
    server.models = ["scripted"]
    os.environ |= {{"PO_LM_BASE_URL": server.address, "PO_LM_MODEL": "scripted"}}
    sys.argv = ["kedro", "run", "--env={ENVIRONMENT}"]
    from kedro.framework.cli import main
    main()
"""
    done = subprocess.run(  # noqa: S603 -- our own interpreter
        [sys.executable, "-c", f"import sys\n{code}", copy_project(tmp_path / "p")],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    modules = set(done.stdout.split())
    assert "po_optimizer.optimization.preflight" in modules, done.stderr
    spared = {"pandas", "IPython", "litellm", "optuna", "plotly.graph_objs"}
    assert not modules & {*spared, "scipy.sparse", "scipy.stats"}
