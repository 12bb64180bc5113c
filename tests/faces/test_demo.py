"""`make demo`: a role learns from demos, is promoted, and answers new messages.

The LM is a scripted one that knows the house's form from the demos in the prompt alone:
without them in every prompt that it is sent, no uplift and no promotion.
"""

import json
import socket
import urllib.request

import nbformat
import pytest
from nbclient import NotebookClient

from po_optimizer import load_program
from tests.faces.project import (
    ENVIRONMENT,
    ROOT,
    SLUG,
    answering,
    copy_project,
    in_the_middle,
    kedro,
    kedro_begun,
    press_ctrl_c,
    return_form_answer,
    triage_answer,
)
from tests.weights import needs_weights

ROLE = "return_form"
RUN = ("run", f"--env={ENVIRONMENT}")
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
OWN = "03_optimize_your_own"  # shows a person's own program


@pytest.fixture(scope="module")
def address():
    """The scripted LM on loopback."""
    with answering(return_form_answer) as url:
        yield url


@pytest.fixture(scope="module")
def demo(tmp_path_factory, address):
    """A project whose whole run was of the role, and what was printed."""
    project = copy_project(tmp_path_factory.mktemp("demo") / "project")
    done = kedro(project, *RUN, f"--params=role={ROLE}", base_url=address)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-2000:]
    return project, done.stdout


@pytest.fixture(scope="module")
def project(demo):
    """The project alone."""
    return demo[0]


def _report(project, name, slug=SLUG):
    file = project / f"data/08_reporting/{ROLE}/{slug}/{name}.json"
    return json.loads(file.read_text())


def test_demos_are_promoted_by_the_gate_of_every_role(project):
    """The measurement alone promotes; the testset is scored whole."""
    scores, promotion = (_report(project, n) for n in ("score_report", "promotion"))
    assert promotion["measured"] == promotion["decision"] == "promote"
    assert promotion["override"] is None
    assert promotion["evidence"]["p_value"] <= promotion["evidence"]["alpha"] == 0.05
    assert promotion["evidence"]["gains"] > promotion["evidence"]["losses"]
    assert scores["optimized"]["score"]["n"] == 24
    assert scores["optimized"]["n_failed"] == scores["optimized"]["n_unscored"] == 0
    assert scores["optimized"]["score"]["mean"] > scores["baseline"]["score"]["mean"]


def test_prompt_is_shown_before_and_after(demo):
    """On the terminal: the demos, the file with the whole, how to use it."""
    project, shown = demo
    assert "The instructions are the same, 6 demos added." in shown
    assert shown.count("+ message: ") == 6
    page = f"data/08_reporting/{ROLE}/{SLUG}/prompt_diff.html"
    assert page in shown
    assert f"--pipeline=predict --env={ENVIRONMENT} --params role={ROLE}\n" in shown
    assert (project / page).is_file()


@pytest.mark.parametrize("pipeline", ["predict", "integrate"])
def test_promoted_program_answers_new_messages(project, address, pipeline):
    """`predict`, and `integrate` of a role without one: the role's five messages."""
    out = project / f"{pipeline}.jsonl"
    given = f"--params=role={ROLE},predict.outputs={out.name}"
    done = kedro(project, *RUN, f"--pipeline={pipeline}", given, base_url=address)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["program"] for line in lines] == ["optimized"] * 5
    numbers = [line["outputs"]["order_number"] for line in lines]
    assert numbers == ["AF-38415", "AF-92760", "AF-17049", "AF-60482", "AF-51937"]


@pytest.fixture
def service(project, address):
    """The project behind `kedro server`, and its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ("server", "start", f"--env={ENVIRONMENT}", f"--port={port}")
    server = kedro_begun(project, *command, base_url=address)
    base = f"http://127.0.0.1:{port}"
    in_the_middle(server, lambda: _responds(f"{base}/health"))
    yield base
    press_ctrl_c(server)
    server.communicate(timeout=60)


def _responds(url):
    try:
        return urllib.request.urlopen(url).status == 200  # noqa: S310 -- loopback
    except OSError:
        return False


def test_service_answers_each_request_by_its_parameters(project, service):
    """A request with a wrong role is refused in a sentence; the next one is served."""

    def post(role):
        body = {"pipeline_names": ["predict"], "params": {"role": role}}
        body["params"] |= {"predict": {"outputs": "served.jsonl"}}
        headers = {"Content-Type": "application/json"}
        data = json.dumps(body).encode()
        request = urllib.request.Request(f"{service}/run", data, headers)  # noqa: S310
        return json.load(urllib.request.urlopen(request))  # noqa: S310 -- loopback

    refused = post("nosuch")
    assert refused["error"]["message"].startswith("role='nosuch' cannot be used:")
    assert post(ROLE)["status"] == "success"
    assert len((project / "served.jsonl").read_text().splitlines()) == 5


def test_roles_never_write_into_one_anothers_folder(project):
    """All that this one made lies in a folder of its name; nothing in planning."""
    for layer in (project / "data").glob("0[2-8]_*"):
        folders = {path.name for path in layer.iterdir() if path.is_dir()}
        assert folders <= {ROLE, "judged_programs"}, layer
    assert not (project / "planning").exists()


def test_role_is_stored(project):
    """Its program is released and loads as the class that it is."""
    folder = project / f"data/06_models/{ROLE}/{SLUG}/program.json"
    path = next(folder.glob("*/program.json"))
    program = load_program(path, allowed_packages=["dspy", ROLE])
    assert type(program).__name__ == "FormFiller"
    assert len(program.fill.demos) == 6


@pytest.fixture(scope="module")
def triage_address():
    """A scripted LM for the notebook's own program."""
    with answering(triage_answer) as url:
        yield url


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path, project, address, triage_address, monkeypatch):
    """Every cell runs where the demo ended, and shows no log line and no path."""
    monkeypatch.setenv("KEDRO_ENV", ENVIRONMENT)
    monkeypatch.setenv("PO_LM_MODEL", "scripted")
    url = triage_address if path.stem == OWN else address
    monkeypatch.setenv("PO_LM_BASE_URL", url)
    monkeypatch.setenv("PYTHONPATH", str(project / "src"))
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(project / "notebooks")}}
    NotebookClient(notebook, timeout=120, resources=resources).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert "execute_result" in {output.output_type for output in outputs}
    shown = [o.get("text") or o.data.get("text/plain", "") for o in outputs]
    for noise in ("INFO", "WARNING", str(project)):
        assert not any(noise in text for text in shown), noise


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_stored_clean(path):
    """It has no output, and defines no function but a person's own program."""
    cells = nbformat.read(path, as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)
    assert path.stem == OWN or not any("def " in cell.source for cell in code)


@needs_weights
@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(5))
def test_embedded_lm_learns_from_demos(tmp_path, seed):
    """The demo as a newcomer types it, with any seed: promoted, then predicting."""
    project = copy_project(tmp_path / "project")
    given = f"--params=role={ROLE},data_prep.seed={seed},optimize.seed={seed}"
    done = kedro(project, "run", given, most_seconds=3000)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-2000:]
    promotion = _report(project, "promotion", "embedded-smollm2-135m-instruct")
    assert promotion["measured"] == "promote", promotion["reasons"]
