"""Wire formats as others wrote them: aimock, by `make test-servers`."""

import json
import socket
import subprocess
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import dspy
import pytest

from po_optimizer.lms.build import make_lm
from po_optimizer.lms.ledger import Ledger
from po_optimizer.lms.lm import use_lm
from po_optimizer.lms.providers import provider_class
from po_optimizer.lms.stops import LMUnreachable
from po_optimizer.params.lm import LMParams
from tests.faces.project import (
    ROOT,
    copy_project,
    kedro,
    store_no_snapshots,
    typed,
)
from tests.servers import google
from tests.servers.test_whole_runs import SMALLEST
from tests.servers.wire import serving

COMMAND = Path(__file__).parent / "aimock/node_modules/.bin/llmock"
MODELS = {"openai": "gpt-4o", "ollama": "mistral", "vertex": "gemini-2.5-flash"}

pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(
        not COMMAND.exists(), reason="aimock is not installed: make test-servers"
    ),
]


@contextmanager
def running(fixtures, folder):
    """The address of an aimock with these fixtures; the first that fits answers."""
    path = folder / "fixtures.json"
    path.write_text(json.dumps({"fixtures": fixtures}))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(COMMAND), "-p", str(port), "-f", str(path)]
    with subprocess.Popen([*command, "--log-level", "silent"]) as process:  # noqa: S603
        address = f"http://127.0.0.1:{port}"
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield address
        process.terminate()


@pytest.fixture(scope="module")
def aimock(tmp_path_factory):
    """The address of a running aimock that always answers {"answer": "42"}."""
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    response = {"content": '{"answer": "42"}', "usage": usage}
    folder = tmp_path_factory.mktemp("fixtures")
    with running([{"match": {}, "response": response}], folder) as address:
        yield address


@pytest.fixture(scope="module")
def product_owner(tmp_path_factory):
    """The address of an aimock that knows the references of the shipped records."""
    lines = (ROOT / "data/01_raw/product_owner.jsonl").read_text().splitlines()
    instruction = {"proposed_instruction": "Name each conflict by its id."}
    fixtures = [
        {
            "match": {"userMessage": "proposed_instruction"},
            "response": {"content": json.dumps(instruction)},
        },
        *(known(json.loads(line)) for line in lines),
    ]
    # aimock lists the models that fixtures name as the ones it has
    others = [{"model": "mistral:7b-instruct"}, {"model": "served"}, {}]
    response = known(json.loads(lines[0]))["response"]
    fixtures += [{"match": match, "response": response} for match in others]
    folder = tmp_path_factory.mktemp("product_owner")
    with running(fixtures, folder) as address:
        yield address


def known(record):
    """A fixture that answers a record's concept with the reference."""
    content = json.dumps(typed(record["output"]))
    match = {"userMessage": record["input"]["concept"]}
    return {"match": match, "response": {"content": content}}


@pytest.fixture
def made(aimock, tmp_path, monkeypatch):
    """A function that makes an LM of a provider on aimock."""
    # aimock has no list of pulled models, and gives no Google tokens
    for name in ("litellm", "ollama", "vertex"):
        cls = provider_class(name)
        monkeypatch.setattr(cls, "check_provider", lambda provider: [])
    with serving(str) as tokens:
        google.log_in(monkeypatch, tmp_path, tokens.address)

        def make(provider, **params):
            settings = LMParams(
                provider=provider, model=MODELS[provider], api_base=aimock, **params
            )
            return make_lm(settings, tmp_path / provider, run_id="r")

        yield make


def chaos(aimock, **rates):
    """Sets how often aimock fails; nothing sets it back to never."""
    request = urllib.request.Request(  # noqa: S310
        f"{aimock}/__aimock/chaos",
        data=json.dumps(rates).encode(),
        headers={"Content-Type": "application/json"},
        method="POST" if rates else "DELETE",
    )
    urllib.request.urlopen(request).close()  # noqa: S310


def ask(lm):
    """One program call."""
    with use_lm(lm, stage="test"):
        return dspy.Predict("question -> answer")(question="why?").answer


@pytest.mark.parametrize("provider", MODELS)
def test_answer_and_usage_are_read(made, provider):
    """The format of another author is understood."""
    lm = made(provider)
    assert ask(lm) == "42"
    (row,) = lm.meter.ledger.rows()
    assert row.error is None
    # aimock passes the fixture's usage on in every format or reports 0, which is none
    assert (row.prompt_tokens, row.completion_tokens) in {(7, 3), (None, None)}


@pytest.mark.parametrize("provider", MODELS)
@pytest.mark.parametrize(
    "fault", ["dropRate", "malformedRate", "disconnectRate", "rateLimitRate"]
)
def test_lasting_fault_stops_the_run(made, aimock, provider, fault):
    """500, malformed JSON, disconnects and 429 are never the program's failure."""
    lm = made(provider, num_retries=0)
    chaos(aimock, **{fault: 1.0})
    try:
        with pytest.raises(LMUnreachable):
            ask(lm)
    finally:
        chaos(aimock)
    assert all(row.error for row in lm.meter.ledger.rows())


ENVIRONMENTS = {
    "ollama": "ollama-mistral-7b-instruct",
    "openai-compatible": "openai-served",
    "vertex": "vertex-gemini-2.5-flash",
}


CHATS = {
    "ollama": "/api/chat",
    "openai-compatible": "/v1/chat/completions",
    "vertex": ":generateContent",
}


@pytest.fixture
def whole_run(product_owner, tmp_path, monkeypatch):
    """A function that runs all five stages in an environment, on aimock."""
    project = copy_project(tmp_path / "project")
    store_no_snapshots(project)
    with serving(str) as tokens:
        google.log_in(monkeypatch, tmp_path, tokens.address)

        def run(env, extra=""):
            base = f",lm.api_base={product_owner}" if env == "vertex" else ""
            done = kedro(
                project,
                "run",
                f"--env={env}",
                f"--params={SMALLEST}{base}{extra}",
                OLLAMA_BASE_URL=product_owner,
                PO_LM_BASE_URL=product_owner,
                PO_LM_MODEL="served",
                PO_LM_API_KEY="key-for-aimock",
            )
            slug = ENVIRONMENTS[env]
            ledger = Ledger(
                project / f"data/07_model_output/product_owner/{slug}/ledger.sqlite"
            )
            return done, ledger, project

        yield run
        chaos(product_owner)


def journal(address):
    """The requests that aimock has answered, oldest first."""
    with urllib.request.urlopen(f"{address}/__aimock/journal?limit=1000") as answer:  # noqa: S310
        return json.loads(answer.read())


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_whole_pipeline_on_a_server_of_another_author(whole_run, product_owner, env):
    """Five stages on aimock's idea of the format: stored, scored, written."""
    done, ledger, project = whole_run(env)
    assert done.returncode == 0, done.stderr[-2000:]
    assert (project / "planning/product_vision.yaml").exists()
    report = (
        project
        / f"data/08_reporting/product_owner/{ENVIRONMENTS[env]}/score_report.json"
    )
    scored = json.loads(report.read_text())["optimized"]
    assert scored["n_failed"] == scored["n_unscored"] == 0
    assert scored["score"]["mean"] > 0.9
    assert ledger.totals().paid > 5
    asked = [each for each in journal(product_owner) if each["method"] == "POST"]
    mine = [each for each in asked if each["path"].endswith(CHATS[env])]
    assert len(mine) >= ledger.totals().paid
    if env == "vertex":
        assert not any("key-for-aimock" in json.dumps(each["headers"]) for each in mine)


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_passing_faults_are_overcome_in_a_whole_run(whole_run, product_owner, env):
    """Every fifth answer is a 500: asked again, each attempt in the ledger."""
    chaos(product_owner, dropRate=0.2)
    done, ledger, _ = whole_run(env, ",lm.num_retries=6")
    assert done.returncode == 0, done.stderr[-2000:]
    assert ledger.totals().failed == sum(bool(r.error) for r in ledger.rows())


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_lasting_fault_ends_a_whole_run_in_a_sentence(whole_run, product_owner, env):
    """A server that always fails: one line, no zero scored, every attempt recorded.

    It is asked with a JSON schema and without, each time tried once more.
    """
    chaos(product_owner, dropRate=1.0)
    done, ledger, project = whole_run(env, ",lm.num_retries=1")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert "Traceback" not in done.stdout + done.stderr
    assert ledger.totals().failed == ledger.totals().paid == 4
    assert not (
        project / f"data/08_reporting/product_owner/{ENVIRONMENTS[env]}"
    ).exists()
