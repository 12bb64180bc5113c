"""The whole pipeline through each wire format, and no key in any byte it writes."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from po_optimizer.lms.ledger import Ledger
from tests.canary import KEY, PROMPT_KEY, holders
from tests.servers import google
from tests.servers.wire import serving

pytestmark = pytest.mark.servers

PROJECT = Path(__file__).parents[2]
RECORDS = PROJECT / "data/01_raw/product_owner.jsonl"
SMALLEST = ",".join(
    [
        "data_prep.sizes.train=2",
        "data_prep.sizes.val=2",
        "data_prep.sizes.test=2",
        "optimize.miprov2.num_candidates=2",
        "optimize.miprov2.num_trials=1",
        "lm.num_threads=1",
    ]
)


def reference():
    """The outputs of the first record, as a careful LM would write them."""
    record = json.loads(RECORDS.read_text(encoding="utf-8").splitlines()[0])
    return {name: yaml.safe_load(text) for name, text in record["output"].items()}


def answers(prompt):
    """The fields that the prompt asks for, the program's own from the reference."""
    known = reference()
    wanted = re.findall(r"`(\w+)`", prompt.rsplit("following order of fields", 1)[-1])
    fields = {name: known.get(name, f"Words for {name}.") for name in wanted}
    return json.dumps(fields, default=str)


@pytest.fixture
def server():
    """A server of all three wire formats that answers like the reference."""
    with serving(answers) as running:
        running.models = ["mistral:7b-instruct", "served"]
        yield running


@pytest.fixture
def project(tmp_path):
    """The project as a user has it after cloning."""
    folder = tmp_path / "project"
    shutil.copytree(PROJECT / "conf", folder / "conf")
    (folder / "src").mkdir()
    (folder / "data/01_raw").mkdir(parents=True)
    (folder / "data/08_reporting").mkdir()
    for name in ("pyproject.toml", ".telemetry"):
        if (PROJECT / name).exists():
            shutil.copy(PROJECT / name, folder)
    for path in (PROJECT / "data/01_raw").iterdir():
        shutil.copy(path, folder / "data/01_raw")
    return folder


def run(project, env, variables, extra="", options=()):
    """`kedro run` in a process of its own."""
    command = [sys.executable, "-m", "kedro", "run", f"--env={env}"]
    command += ["--params", SMALLEST + extra, *options]
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("COV")},
        "DO_NOT_TRACK": "true",
        "PO_LM_API_KEY": KEY,
        "PO_PROMPT_LM_API_KEY": PROMPT_KEY,
        **variables,
    }
    return subprocess.run(  # noqa: S603 -- the project's own command
        command,
        cwd=project,
        env=environment,
        capture_output=True,
        timeout=240,
        check=False,
    )


@pytest.mark.parametrize(
    "case",
    [
        ("ollama", "ollama-mistral-7b-instruct"),
        ("openai-compatible", "openai-served"),
        ("vertex", "vertex-gemini-2.5-flash"),
    ],
)
def test_whole_pipeline_runs_and_writes_no_key(server, project, monkeypatch, case):
    """All stages end; neither keys nor Google's private key stand in any byte."""
    env, slug = case
    private = google.log_in(monkeypatch, project.parent, server.address)
    variables = {
        "OLLAMA_BASE_URL": server.address,
        "PO_LM_BASE_URL": server.address,
        "PO_LM_MODEL": "served",
    }
    base = f",lm.api_base={server.address}" if env == "vertex" else ""
    done = run(project, env, variables, base)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    for name in ("06_models", "07_model_output", "08_reporting"):
        role = project / "data" / name / "product_owner"
        assert {p.name for p in role.iterdir() if p.is_dir()} == {slug}
    assert (project / "planning/product_vision.yaml").exists()
    ledger = Ledger(
        project / "data/07_model_output/product_owner" / slug / "ledger.sqlite"
    )
    totals = ledger.totals()
    assert totals.paid > 5
    assert totals.failed == 0
    secrets = [KEY, PROMPT_KEY, private.splitlines()[1], "ya29.t"]
    assert not holders(project, secrets, done.stdout, done.stderr)


def test_published_page_holds_no_key(server, project):
    """kedro-viz with previews, built with the keys in its environment."""
    shutil.copytree(PROJECT / "src", project / "src", dirs_exist_ok=True)
    variables = {"PO_LM_BASE_URL": server.address, "PO_LM_MODEL": "served"}
    done = run(project, "openai-compatible", variables)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    variables |= {"KEDRO_ENV": "openai-compatible", "DO_NOT_TRACK": "true"}
    keys = {"PO_LM_API_KEY": KEY, "PO_PROMPT_LM_API_KEY": PROMPT_KEY}
    built = subprocess.run(
        [sys.executable, "-m", "kedro", "viz", "build", "--include-previews"],
        cwd=project,
        env={**os.environ, **variables, **keys},
        capture_output=True,
        timeout=240,
        check=False,
    )
    assert built.returncode == 0, built.stderr.decode()[-2000:]
    assert (project / "build/api/main").exists()
    assert not holders(project, [KEY, PROMPT_KEY], built.stdout, built.stderr)


def test_killed_run_leaves_no_key(server, project):
    """SIGKILL in the middle: nothing half-written holds one, nor does the next run."""
    ledger = project / "data/07_model_output/product_owner/openai-served/ledger.sqlite"
    server.answer = lambda prompt: time.sleep(0.2) or answers(prompt)
    variables = {"PO_LM_BASE_URL": server.address, "PO_LM_MODEL": "served"}
    keys = {"PO_LM_API_KEY": KEY, "PO_PROMPT_LM_API_KEY": PROMPT_KEY}
    command = ["kedro", "run", "--env=openai-compatible", f"--params={SMALLEST}"]
    running = subprocess.Popen(  # noqa: S603 -- the project's own command
        [sys.executable, "-m", *command],
        cwd=project,
        env={**os.environ, "DO_NOT_TRACK": "true", **keys, **variables},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and running.poll() is None:
        if ledger.exists() and Ledger(ledger).totals(stage="optimize").paid > 1:
            break
        time.sleep(0.05)
    running.kill()
    running.wait()
    assert ledger.exists()
    assert not holders(project, [KEY, PROMPT_KEY])
    done = run(project, "openai-compatible", variables)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    assert not holders(project, [KEY, PROMPT_KEY], done.stdout, done.stderr)


@pytest.mark.parametrize(
    ("stage", "traceback"),
    [
        ("optimize", ""),
        *((stage, "1") for stage in ("preflight", "optimize", "evaluate", "integrate")),
    ],
)
def test_failure_at_any_stage_tells_no_key(server, project, stage, traceback):
    """The server repeats the key in its refusal; PO_TRACEBACK=1 shows none either.

    What a traceback shows has the sentence in it.
    """
    asked = {"preflight": 0, "optimize": 4, "evaluate": 7, "integrate": 0}[stage]

    def until(prompt):
        if len(server.chats) > asked:
            server.key = "another one"
        return answers(prompt)

    server.answer = until
    if not asked:
        server.key = "another one"
    variables = {"PO_LM_BASE_URL": server.address, "PO_LM_MODEL": "served"}
    variables |= {"PO_TRACEBACK": traceback} if traceback else {}
    options = ["--pipeline=integrate"] if stage == "integrate" else []
    done = run(project, "openai-compatible", variables, options=options)
    assert done.returncode == 1
    assert not holders(project, [KEY, PROMPT_KEY], done.stdout, done.stderr)


@pytest.mark.parametrize(
    "address", ["http://u:{}@127.0.0.1:9", "http://127.0.0.1:9?k={}"]
)
def test_key_in_the_address_is_refused_and_not_repeated(project, address):
    """An address is written into reports, so it may hold no secret."""
    variables = {"PO_LM_BASE_URL": address.format(KEY), "PO_LM_MODEL": "served"}
    done = run(project, "openai-compatible", variables)
    assert done.returncode == 1
    assert b"lm.api_base" in done.stderr
    assert b"PO_LM_API_KEY" in done.stderr
    assert not holders(project, [KEY], done.stdout, done.stderr)


def test_refused_key_is_in_no_error_and_no_file(server, project):
    """The server repeats the key that it refuses; nothing of ours does."""
    server.key = "other"
    variables = {"PO_LM_BASE_URL": server.address, "PO_LM_MODEL": "served"}
    done = run(project, "openai-compatible", variables)
    assert done.returncode == 1
    assert b"PO_LM_API_KEY" in done.stderr
    assert b"Traceback" not in done.stderr
    assert not holders(project, [KEY], done.stdout, done.stderr)


def test_other_prompt_lm_writes_the_instructions(server, project):
    """Its calls stand in a ledger of its own, and carry its own key only."""
    variables = {"OLLAMA_BASE_URL": server.address, "PO_LM_BASE_URL": server.address}
    extra = ",prompt_lm.provider=openai,prompt_lm.model=served"
    done = run(project, "ollama", variables, extra)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    output = project / "data/07_model_output/product_owner"
    rows = Ledger(output / "openai-served/ledger.sqlite").rows(stage="optimize")
    assert rows
    assert {row.lm for row in rows} == {"openai-served"}
    models = [
        p.name
        for p in (project / "data/06_models/product_owner").iterdir()
        if p.is_dir()
    ]
    assert models == ["ollama-mistral-7b-instruct"]
    sent = [headers for path, headers, _ in server.requests if path.endswith("ions")]
    assert {headers["Authorization"] for headers in sent} == {f"Bearer {PROMPT_KEY}"}
