"""Every provider of LiteLLM's by its model string, with the same guards."""

import json
import socket
import threading
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import dspy
import litellm
import pytest

from po_optimizer.lms.build import lm_of, make_lm
from po_optimizer.lms.lm import use_lm
from po_optimizer.lms.providers import make_provider
from po_optimizer.lms.stops import LMUnreachable
from po_optimizer.params.lm import LMParams

KEY = "sk-canary-of-a-cloud"
TEXT = json.dumps({"answer": "42"})
USAGE = {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16}


def _anthropic(body):
    tools = body.get("tools")
    block = {"type": "text", "text": TEXT}
    if tools:  # LiteLLM asks for JSON by a tool
        block = {"type": "tool_use", "id": "t", "name": tools[0]["name"]}
        block["input"] = {"answer": "42"}
    usage = {"input_tokens": 11, "output_tokens": 5}
    answer = {"id": "m", "type": "message", "role": "assistant", "content": [block]}
    return {**answer, "model": "x", "stop_reason": "end_turn", "usage": usage}


def _openai(body):
    message = {"role": "assistant", "content": TEXT}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    answer = {"id": "x", "object": "chat.completion", "created": 1, "model": "x"}
    return {**answer, "choices": [choice], "usage": USAGE, "service_tier": "on_demand"}


def _bedrock(body):
    usage = {"inputTokens": 11, "outputTokens": 5, "totalTokens": 16}
    content = [{"text": TEXT}]
    if body.get("toolConfig"):
        tool = body["toolConfig"]["tools"][0]["toolSpec"]["name"]
        call = {"toolUseId": "t", "name": tool, "input": {"answer": "42"}}
        content = [{"toolUse": call}]
    output = {"message": {"role": "assistant", "content": content}}
    return {"output": output, "stopReason": "end_turn", "usage": usage, "metrics": {}}


@pytest.fixture
def cloud(monkeypatch):
    """A server of four clouds' formats; it keeps what it was asked.

    `server.unsaid` are names that its answers leave out, `server.said` what they have
    beside or instead, `server.refusal` is what it says instead of answering.
    LiteLLM asks nobody else.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.server.asked.append((self.path, dict(self.headers), body))
            kinds = {"messages": _anthropic, "converse": _bedrock}
            answer = kinds.get(self.path.rpartition("/")[2], _openai)(body)
            answer |= self.server.said
            for name in self.server.unsaid:
                answer.pop(name, None)
            status, refusal = 200, self.server.refusal
            if refusal:
                status, answer = 401, {"error": {"message": refusal}}
            text = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *args):
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.unsaid, server.refusal, server.said = [], (), "", {}
    hosts, look_up = set(), socket.getaddrinfo

    def getaddrinfo(host, *args, **kwargs):
        hosts.add(host)
        return look_up(host, *args, **kwargs)

    monkeypatch.setattr("socket.getaddrinfo", getaddrinfo)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()
    assert hosts <= {"127.0.0.1"}


@pytest.mark.parametrize(
    ("model", "extra", "header"),
    [
        ("anthropic/claude-haiku-4-5", {}, "x-api-key"),
        ("azure/gpt-4o-mini", {"api_version": "2024-06-01"}, "api-key"),
        ("groq/openai/gpt-oss-20b", {}, "authorization"),
    ],
)
def test_clouds_answer_in_their_own_formats(tmp_path, cloud, model, extra, header):
    """The key goes where the provider wants it; tokens and cost are in the ledger."""
    address = f"http://127.0.0.1:{cloud.server_port}"
    params = LMParams(
        provider="litellm", model=model, api_base=address, extra=extra, num_retries=0
    )
    lm = make_lm(params, tmp_path, run_id="r", api_key=KEY)
    assert not [c for c in make_provider(params, KEY).check_provider() if not c.passed]
    with use_lm(lm, stage="test"):
        for _ in range(2):
            assert dspy.Predict("question -> answer")(question="?").answer == "42"
    ((_, headers, _),) = cloud.asked
    assert KEY in {name.lower(): value for name, value in headers.items()}[header]
    paid, cached = lm.meter.ledger.rows()
    assert (paid.prompt_tokens, paid.completion_tokens, cached.paid) == (11, 5, False)
    assert paid.cost_usd > 0
    files = [file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()]
    assert KEY.encode() not in b"".join(files)


AZURE = {"api_version": "2024-06-01"}


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("model", ["groq/x", "openrouter/a/x", "azure/x"])
@pytest.mark.parametrize("choices", [None, []])
def test_answer_without_a_message_is_the_servers_failure(
    tmp_path, cloud, model, own, choices
):
    """No empty text is scored for it, of a user's own LM neither: the run stops."""
    cloud.said = {"choices": choices}
    extra = AZURE if model.startswith("azure") else {}
    address = f"http://127.0.0.1:{cloud.server_port}"
    more = {"api_base": address, "num_retries": 0}
    if own:
        lm = dspy.LM(model, api_key=KEY, **more, **extra)
        lm = lm_of(lm, tmp_path, run_id="r")
    else:
        params = LMParams(provider="litellm", model=model, extra=extra, **more)
        lm = make_lm(params, tmp_path, run_id="r", api_key=KEY)
    with use_lm(lm, stage="test"), pytest.raises(LMUnreachable):
        dspy.Predict("question -> answer")(question="?")
    (row,) = lm.meter.ledger.rows()
    assert row.error


def test_answer_without_a_message_costs_what_the_cloud_says(tmp_path, cloud):
    """It is no answer, but it is paid."""
    cloud.said = {"choices": [], "usage": {**USAGE, "cost": 0.25}}
    address = f"http://127.0.0.1:{cloud.server_port}"
    lm = dspy.LM("openai/x", api_key=KEY, api_base=address, num_retries=0)
    lm = lm_of(lm, tmp_path, run_id="r")
    with use_lm(lm, stage="test"), pytest.raises(LMUnreachable):
        dspy.Predict("question -> answer")(question="?")
    totals = lm.meter.ledger.totals()
    assert (totals.failed, totals.cost_usd, totals.prompt_tokens) == (1, 0.25, 11)


def ask_cloud(cloud, folder, model, **params):
    """The only row of the ledger after one question."""
    address = f"http://127.0.0.1:{cloud.server_port}"
    params = LMParams(provider="litellm", model=model, api_base=address, **params)
    lm = make_lm(params, folder, run_id="r", api_key=KEY)
    with use_lm(lm, stage="test"):
        assert dspy.Predict("question -> answer")(question="?").answer == "42"
    (row,) = lm.meter.ledger.rows()
    return row


def test_message_in_parts_is_an_answer(tmp_path, cloud):
    """LiteLLM reads texts only."""
    parts = [{"type": "text", "text": part} for part in (TEXT[:4], TEXT[4:])]
    message = {"role": "assistant", "content": parts}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    cloud.said = {"choices": [choice]}
    assert ask_cloud(cloud, tmp_path, "openrouter/a/x").error is None


def test_cost_is_what_the_cloud_says(tmp_path, cloud):
    """OpenRouter's table of prices knows neither its discounts nor its routes."""
    cloud.said = {"usage": {**USAGE, "cost": 0.25}}
    assert ask_cloud(cloud, tmp_path, "openrouter/a/x").cost_usd == 0.25


_ANTHROPIC_KEPT = {
    "input_tokens": 100,
    "output_tokens": 0,
    "cache_read_input_tokens": 900,
    "cache_creation_input_tokens": 0,
}
_OPENAI_KEPT = {
    "prompt_tokens": 1000,
    "completion_tokens": 0,
    "total_tokens": 1000,
    "prompt_tokens_details": {"cached_tokens": 900},
}


@pytest.mark.parametrize(
    ("model", "usage", "share"),
    [
        ("anthropic/claude-haiku-4-5", _ANTHROPIC_KEPT, 0.1),
        ("azure/gpt-4o-mini", _OPENAI_KEPT, 0.5),
    ],
)
def test_kept_prompts_are_paid_at_their_own_price(tmp_path, cloud, model, usage, share):
    """Whether the cloud counts them among the tokens of the prompt or beside them."""
    cloud.said = {"usage": usage}
    extra = AZURE if model.startswith("azure") else {}
    row = ask_cloud(cloud, tmp_path, model, extra=extra)
    price = litellm.model_cost[model.removeprefix("anthropic/")]["input_cost_per_token"]
    assert row.prompt_tokens == 1000
    assert row.cost_usd == pytest.approx((100 + 900 * share) * price, rel=0.01)


def test_an_answer_without_usage_is_no_answer_lost(tmp_path, cloud):
    """Gateways leave it out; LiteLLM's reader of Anthropic's form would fail."""
    cloud.unsaid = ("usage",)
    address = f"http://127.0.0.1:{cloud.server_port}"
    model = "anthropic/claude-haiku-4-5"
    params = LMParams(provider="litellm", model=model, api_base=address, num_retries=0)
    lm = make_lm(params, tmp_path, run_id="r", api_key=KEY)
    with use_lm(lm, stage="test"):
        assert dspy.Predict("question -> answer")(question="?").answer == "42"
    (row,) = lm.meter.ledger.rows()
    assert (row.prompt_tokens, row.cost_usd, row.error) == (None, None, None)


def test_key_of_the_environment_is_in_no_error(tmp_path, cloud, monkeypatch):
    """LiteLLM reads it by itself, and the server repeats it."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    cloud.refusal = f"wrong key {KEY}"
    address = f"http://127.0.0.1:{cloud.server_port}"
    model = "anthropic/claude-haiku-4-5"
    params = LMParams(provider="litellm", model=model, api_base=address, num_retries=0)
    lm = make_lm(params, tmp_path, run_id="r")
    with use_lm(lm, stage="test"), pytest.raises(LMUnreachable) as stop:
        dspy.Predict("question -> answer")(question="?")
    (row,) = lm.meter.ledger.rows()
    text = "".join(traceback.format_exception(stop.value)) + row.error
    assert "wrong key ***" in text
    assert KEY not in text


def test_bedrock_is_reached_with_keys_of_its_own(tmp_path, cloud, monkeypatch):
    """AWS's variables are LiteLLM's to read."""
    pytest.importorskip("boto3")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-of-aws")
    monkeypatch.setenv("AWS_REGION_NAME", "us-east-1")
    address = f"http://127.0.0.1:{cloud.server_port}"
    model = "bedrock/anthropic.claude-3-haiku-20240307-v1:0"
    params = LMParams(provider="litellm", model=model, api_base=address)
    with use_lm(make_lm(params, tmp_path, run_id="r"), stage="test"):
        assert dspy.Predict("question -> answer")(question="?").answer == "42"


def test_missing_key_is_named_before_anything_is_paid(monkeypatch):
    """The finding says which variable to set."""
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    params = LMParams(provider="litellm", model="anthropic/claude-haiku-4-5")
    checks = list(make_provider(params).check_provider())
    (failed,) = [check for check in checks if not check.passed]
    assert "ANTHROPIC_API_KEY" in failed.message


def test_unknown_provider_is_named():
    """A model string without a provider is no model of LiteLLM's."""
    params = LMParams(provider="litellm", model="nobody-knows")
    (failed,) = make_provider(params).check_provider()
    assert "provider/model" in failed.message
