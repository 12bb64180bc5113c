"""Wire formats as others wrote them: aimock, by `make test-servers`."""

import json
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import dspy
import pytest

from po_optimizer.lms import LMUnreachable, connect, make_lm, use_lm
from po_optimizer.params import LMParams
from tests.servers import google
from tests.servers.wire import serving

COMMAND = Path(__file__).parent / "aimock/node_modules/.bin/llmock"
MODELS = {"openai": "gpt-4o", "ollama": "mistral", "vertex": "gemini-2.5-flash"}

pytestmark = pytest.mark.skipif(
    not COMMAND.exists(), reason="aimock is not installed: make test-servers"
)


@pytest.fixture(scope="module")
def aimock(tmp_path_factory):
    """The address of a running aimock that always answers {"answer": "42"}."""
    fixtures = tmp_path_factory.mktemp("fixtures") / "all.json"
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    response = {"content": '{"answer": "42"}', "usage": usage}
    answer = {"match": {}, "response": response}
    fixtures.write_text(json.dumps({"fixtures": [answer]}))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(COMMAND), "-p", str(port), "-f", str(fixtures)]
    with subprocess.Popen([*command, "--log-level", "silent"]) as process:  # noqa: S603
        address = f"http://127.0.0.1:{port}"
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield address
        process.terminate()


@pytest.fixture
def made(aimock, tmp_path, monkeypatch):
    """A function that makes an LM of a provider on aimock."""
    # aimock has no list of pulled models, and gives no Google tokens
    monkeypatch.setattr(connect, "look_at_provider", lambda params, key: [])
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
