"""From parameters to an LM: provider, address, key, price, cache folder."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import dspy
import pytest
from pydantic import ValidationError

from po_optimizer.errors import SettingError
from po_optimizer.lms.build import make_lm
from po_optimizer.lms.identity import lm_slug
from po_optimizer.lms.lm import use_lm
from po_optimizer.lms.providers import make_provider
from po_optimizer.lms.stops import LMNotReady, LMUnreachable
from po_optimizer.params.lm import EmbeddedParams, LMParams, PriceParams
from tests.scripted import answer_of
from tests.servers.wire import serving

KEY = "sk-canary-0123456789"


OLLAMA_ANSWER = {
    "model": "m",
    "created_at": "2026-01-01T00:00:00Z",
    "message": {"role": "assistant", "content": '{"answer": "42"}'},
    "done": True,
    "done_reason": "stop",
    "prompt_eval_count": 12,
    "eval_count": 3,
}


class OpenAIServer(BaseHTTPRequestHandler):
    """Answers every chat completion with {"answer": "42"}, or refuses the key."""

    def do_POST(self):
        """One completion."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((self.path, dict(self.headers), body))
        if self.path == "/api/chat":
            return self.reply(200, OLLAMA_ANSWER)
        if self.server.refuse:
            return self.reply(401, {"error": {"message": f"bad key {KEY}"}})
        message = {"role": "assistant", "content": '{"answer": "42"}'}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}
        answer = {"id": "x", "object": "chat.completion", "model": body["model"]}
        return self.reply(200, {**answer, "choices": [choice], "usage": usage})

    def reply(self, status, document):
        """Sends JSON."""
        text = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *args):
        """Says nothing."""


@pytest.fixture
def server():
    """An OpenAI-compatible server on loopback; `requests` is what it was sent."""
    server = HTTPServer(("127.0.0.1", 0), OpenAIServer)
    server.requests, server.refuse = [], False
    server.address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def openai(**changes):
    """Parameters of an OpenAI-compatible server."""
    return LMParams(**{"provider": "openai", "model": "m", **changes})


def ask(lm):
    """One program call on the LM."""
    with use_lm(lm, stage="test"):
        return dspy.Predict("question -> answer")(question="why?").answer


@pytest.mark.parametrize(
    ("provider", "model", "slug"),
    [
        ("ollama", "mistral:7b-instruct", "ollama-mistral-7b-instruct"),
        ("openai", "Org/Model_v1.5", "openai-org-model-v1.5"),
        ("openai", "../../etc", "openai-..-..-etc"),
        ("vertex", "gemini-2.5-flash", "vertex-gemini-2.5-flash"),
    ],
)
def test_slug_is_one_folder_name(provider, model, slug):
    """Whatever the model is called, its slug has no separator in it."""
    assert lm_slug(provider, model) == slug
    assert "/" not in slug


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("embedded", "openai/m"),
        ("openai", "openai/m"),
        ("ollama", "ollama_chat/m"),
        ("vertex", "vertex_ai/m"),
    ],
)
def test_provider_becomes_dspys_prefix(tmp_path, provider, model):
    """Ollama is asked by its own protocol, where num_ctx can be set."""
    lm = make_lm(LMParams(provider=provider, model="m"), tmp_path, run_id="r")
    assert lm.model == model


@pytest.mark.parametrize(
    ("tail", "path"),
    [
        ("", "/v1"),
        ("/", "/v1"),
        ("/v1", "/v1"),
        ("/v1/", "/v1"),
        ("/gateway", "/gateway/v1"),
        ("/v1beta/openai/", "/v1beta/openai"),
        ("/api/paas/v4", "/api/paas/v4"),
        ("/inference/chat/completions", "/inference"),
    ],
)
def test_openai_server_is_asked_under_v1(tmp_path, server, tail, path):
    """Unless the address has another version, or says what is asked there."""
    lm = make_lm(openai(api_base=f"{server.address}{tail}"), tmp_path, run_id="r")
    assert ask(lm) == "42"
    asked = [path for path, _, _ in server.requests]
    assert asked == [f"{path}/chat/completions"]


def test_request_carries_model_limits_schema_and_key(tmp_path, server):
    """What the parameters say is what the server is sent."""
    params = openai(api_base=server.address, max_tokens=77, temperature=0.5)
    ask(make_lm(params, tmp_path, run_id="r", api_key=KEY))
    _, headers, body = server.requests[0]
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert (body["model"], body["temperature"]) == ("m", 0.5)
    assert body["max_completion_tokens"] == 77
    assert body["response_format"]["type"] == "json_schema"


def test_key_of_the_environment_is_not_sent(tmp_path, server, monkeypatch):
    """An OPENAI_API_KEY lying about is not for another server."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    ask(make_lm(openai(api_base=server.address), tmp_path, run_id="r"))
    assert KEY not in str(server.requests)


def test_usage_of_the_server_is_priced_and_recorded(tmp_path, server):
    """Tokens come from the server, dollars from the price table per million."""
    rates = PriceParams(prompt=1.0, completion=10.0)
    lm = make_lm(openai(api_base=server.address, price=rates), tmp_path, run_id="run-1")
    ask(lm)
    (row,) = lm.meter.ledger.rows(run_id="run-1")
    assert (row.prompt_tokens, row.completion_tokens) == (12, 3)
    assert row.cost_usd == pytest.approx((12 * 1.0 + 3 * 10.0) / 1e6)
    assert row.lm == "openai-m"


def test_key_that_a_server_repeats_is_not_written(tmp_path, server):
    """Neither the ledger nor the error holds the key, and no file does."""
    server.refuse = True
    lm = make_lm(openai(api_base=server.address), tmp_path, run_id="r", api_key=KEY)
    with pytest.raises(LMUnreachable) as stop:
        ask(lm)
    assert "bad key ***" in str(stop.value)
    assert "bad key ***" in lm.meter.ledger.rows()[0].error
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(KEY.encode() in path.read_bytes() for path in files)


def test_server_that_is_not_there_stops_the_run(tmp_path):
    """The error names the address."""
    params = openai(api_base="http://127.0.0.1:9", num_retries=0)
    with pytest.raises(LMUnreachable, match=r"openai http://127\.0\.0\.1:9"):
        ask(make_lm(params, tmp_path, run_id="r"))


def test_openai_provider_without_an_address_is_refused(tmp_path):
    """The error names lm.api_base and the variable that sets it."""
    lm = make_lm(openai(), tmp_path, run_id="r")
    with pytest.raises(LMNotReady, match=r"lm.api_base=None.*PO_LM_BASE_URL"):
        ask(lm)


def test_embedded_provider_without_weights_is_refused(tmp_path):
    """The error names lm.embedded."""
    lm = make_lm(LMParams(embedded=None), tmp_path, run_id="r")
    with pytest.raises(LMNotReady) as stop:
        ask(lm)
    assert isinstance(stop.value.as_error(), SettingError)
    assert "lm.embedded=None" in str(stop.value)


def test_nothing_is_started_or_asked_at_first(tmp_path, server):
    """Making an LM is free; a run whose answers are cached starts no server."""
    make_lm(openai(api_base=server.address), tmp_path, run_id="r")
    assert server.requests == []


def test_ollama_is_asked_with_its_context_length(tmp_path, server):
    """Without num_ctx Ollama cuts long prompts to its default, without a word."""
    params = LMParams(
        provider="ollama",
        model="m",
        api_base=server.address,
        extra={"num_ctx": 16384, "keep_alive": "30m"},
        max_tokens=77,
    )
    lm = make_lm(params, tmp_path, run_id="r")
    assert ask(lm) == "42"
    # LiteLLM's own thread asks /api/show as well, at any time
    body = next(body for path, _, body in server.requests if path == "/api/chat")
    assert body["options"]["num_ctx"] == 16384
    assert body["options"]["num_predict"] == 77
    assert body["format"]["properties"]["answer"]["type"] == "string"
    assert lm.meter.ledger.totals().completion_tokens == 3


def test_extra_arguments_reach_the_server(tmp_path, server):
    """`lm.extra` is for what one server alone understands."""
    params = openai(api_base=server.address, extra={"top_k": 7, "cache_prompt": True})
    ask(make_lm(params, tmp_path, run_id="r"))
    body = server.requests[0][2]
    assert (body["top_k"], body["cache_prompt"]) == (7, True)


def test_other_extra_arguments_have_other_answers(tmp_path, server):
    """They change what the LM writes, so they part the cache."""
    for top_k in (1, 2, 1):
        params = openai(api_base=server.address, extra={"top_k": top_k})
        ask(make_lm(params, tmp_path, run_id="r"))
    assert [body["top_k"] for _, _, body in server.requests] == [1, 2]


@pytest.mark.parametrize(
    ("params", "tokens", "dollars"),
    [
        (LMParams(), (None, None), 0.0),
        (openai(), (10, 10), None),
        (openai(price={"prompt": 1, "completion": 2}), (None, 5), None),
        (openai(price={"prompt": 1, "completion": 2}), (10, 5), 2e-5),
    ],
)
def test_price_is_unknown_rather_than_zero(params, tokens, dollars):
    """Only the embedded LM is free; without prices or usage the cost is None."""
    assert make_provider(params).cost(answer_of(*tokens)) == dollars


@pytest.mark.parametrize(
    ("stated", "dollars"),
    [
        ({"cost": 0.25}, 0.25),
        ({"cost": 0}, 0.0),
        ({"cost": {"total_cost": 0.25}}, 0.25),
        ({"estimated_cost": 0.25}, 0.25),
        (
            {
                "cost": 0.05,
                "is_byok": True,
                "cost_details": {"upstream_inference_cost": 0.2},
            },
            0.25,
        ),
        ({"cost": 0.05, "is_byok": True}, 2e-5),
        ({"cost": "0.25"}, 2e-5),
        ({"cost": -1}, 2e-5),
        ({}, 2e-5),
    ],
)
def test_cost_that_the_server_states_counts(stated, dollars):
    """It knows discounts; what is no sum, or not all of it, leaves it to the price."""
    provider = make_provider(openai(price={"prompt": 1, "completion": 2}))
    assert provider.cost(answer_of(10, 5, {"usage": stated})) == dollars


def test_endpoint_in_words_names_address_or_weights():
    """What tells two LMs of one name apart."""
    weights = EmbeddedParams(file="w.gguf", sha256="abc")
    assert make_provider(LMParams(embedded=weights)).where == "embedded w.gguf abc"
    assert make_provider(openai(api_base="http://a")).where == "openai http://a"
    assert make_provider(LMParams(provider="vertex")).where == "vertex default endpoint"


def test_reasoning_model_gets_what_it_takes(tmp_path):
    """No temperature, whoever chose one, its own limit, nested arguments."""
    nested = {"chat_template_kwargs": {"enable_thinking": False}}
    with serving(lambda prompt: "hello") as server:
        params = LMParams(
            provider="openai",
            model="gpt-5-mini",
            api_base=server.address,
            temperature=None,
            max_tokens=900,
            extra=nested,
        )
        lm = make_lm(params, tmp_path, run_id="r")
        lm("one")
        lm.copy(temperature=0.7, rollout_id=1)("two")
        for body in server.chats:
            assert "temperature" not in body
            assert body["max_completion_tokens"] == 900
            assert "max_tokens" not in body
            assert body["chat_template_kwargs"] == {"enable_thinking": False}


def test_answers_of_other_weights_are_not_todays(tmp_path):
    """After a pull Ollama's name is the same and the digest is not."""
    params = {"provider": "ollama", "model": "m"}
    n_asked = []
    with serving(lambda prompt: "hello") as server:
        for digest in ("a" * 64, "b" * 64, "a" * 64, None):
            server.digest = digest
            lm = make_lm(
                LMParams(**params, api_base=server.address), tmp_path, run_id="r"
            )
            lm("question")
            n_asked.append(len(server.chats))
            assert lm.weights == (digest or "a" * 64)  # the last is remembered
    assert n_asked == [1, 2, 2, 2]


@pytest.mark.parametrize(
    "name", ["api_key", "x-api-key", "aws_secret_access_key", "Authorization"]
)
def test_extra_holds_no_secret(name):
    """It stands in the fingerprint and in reports, at any depth."""
    with pytest.raises(ValidationError, match=name):
        LMParams(extra={"headers": [{name: "sk-1"}]})
    LMParams(extra={"thinking": {"type": "enabled", "budget_tokens": 1024}})


@pytest.mark.parametrize(
    "headers",
    [
        {"Ocp-Apim-Subscription-Key": "0123456789abcdef"},
        {"X-Key": "sk-1"},
        {"Cookie": "sk-ant-0123456789abcdef"},
    ],
)
def test_headers_of_extra_hold_no_key(headers):
    """By their names, or by what a key looks like; others are the server's business."""
    with pytest.raises(ValidationError, match=r"PO_LM_API_KEY"):
        LMParams(extra={"extra_headers": headers})
    LMParams(extra={"extra_headers": {"X-Team": "support"}})
