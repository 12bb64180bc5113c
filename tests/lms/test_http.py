"""HTTP to servers that misbehave: bounded, straight, and to nobody else."""

import gzip
import json
import zlib

import dspy
import pytest

from po_optimizer.lms import http
from po_optimizer.lms.build import make_lm
from po_optimizer.lms.http import get_json, is_loopback
from po_optimizer.lms.lm import use_lm
from po_optimizer.lms.stops import LMUnreachable
from po_optimizer.params.lm import LMParams
from tests.lms.hostile import chat, hostile
from tests.servers import google

ANSWER = '{"answer": "42"}'
CLIENTS = ["openai", "ollama"]
KEY = "sk-canary"


def look(handler):
    """Answers what Ollama is asked before the chat; True if this was it."""
    known = {"/api/tags": {"models": [{"name": "m:latest"}]}, "/api/show": {}}
    if handler.path in known:
        handler.send(json.dumps(known[handler.path]).encode())
    return handler.path in known


def chatting(respond):
    """A server that answers looks as Ollama does, and chats by the function."""
    return hostile(lambda handler: look(handler) or respond(handler))


def make(provider, server, folder, **params):
    """An LM on the server, without retries."""
    chosen = {"api_base": server.address, "num_retries": 0, "num_threads": 1, **params}
    model = "gemini-2.5-flash" if provider == "vertex" else "m"
    settings = LMParams(provider=provider, model=model, **chosen)
    return make_lm(settings, folder, run_id="r", api_key=KEY)


def ask(lm):
    """One program call."""
    with use_lm(lm, stage="test"):
        return dspy.Predict("question -> answer")(question="why?").answer


def endless(handler, block=b" " * 65536):
    """A body without an end, in chunks."""
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    while True:
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(block), block))


def bomb(layers):
    """Zeros that are small on the wire and large behind it."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, 31)
    body = b"".join(squeeze.compress(bytes(2**20)) for _ in range(80))
    body += squeeze.flush()
    for _ in range(layers - 1):
        body = gzip.compress(body)
    coding = ", ".join(["gzip"] * layers)
    return lambda handler: handler.send(body, Content_Encoding=coding)


@pytest.fixture(autouse=True)
def small_bound(monkeypatch):
    """Megabytes instead of tens of them."""
    monkeypatch.setattr(http, "LARGEST_BYTES", 2**21)


@pytest.mark.parametrize("provider", CLIENTS)
@pytest.mark.parametrize(
    ("respond", "says"),
    [
        (endless, "larger than"),
        (bomb(1), "larger than"),
        (bomb(2), "compressed as 'gzip, gzip'"),
        (lambda h: h.send(b"x", Content_Encoding="br"), "compressed|br"),
    ],
)
def test_answer_without_a_bound_stops_the_run(tmp_path, provider, respond, says):
    """It is given up where it passes the bound; the sentence says why."""
    with (
        chatting(respond) as server,
        pytest.raises(LMUnreachable, match=says),
    ):
        ask(make(provider, server, tmp_path))


@pytest.mark.parametrize("provider", CLIENTS)
def test_answer_that_trickles_ends_with_the_timeout(tmp_path, provider):
    """Each silence is short, but the whole is bounded too."""

    def trickle(handler):
        endless(handler, b" ")

    with (
        chatting(trickle) as server,
        pytest.raises(LMUnreachable, match=r"(end within|timed out after) 0\.2"),
    ):
        ask(make(provider, server, tmp_path, timeout_seconds=0.2))


@pytest.mark.parametrize("provider", CLIENTS)
def test_compressed_answer_is_read(tmp_path, provider):
    """Gateways compress what nobody asked them to."""

    def respond(handler):
        body = gzip.compress(chat(ANSWER, handler.path))
        handler.send(body, Content_Encoding="gzip")

    with chatting(respond) as server:
        assert ask(make(provider, server, tmp_path)) == "42"


MESSAGE = {"role": "assistant", "content": ""}


@pytest.mark.parametrize(
    "document",
    [
        {"choices": []},
        {"choices": None},
        {"object": "chat.completion"},
        {"choices": [{"message": None, "finish_reason": "stop"}]},
        {"choices": [{"message": MESSAGE, "finish_reason": "error"}]},
        {"choices": [{"message": MESSAGE, "error": {"code": 502}}]},
        [],
        "overloaded",
    ],
)
@pytest.mark.parametrize("provider", CLIENTS)
def test_answer_without_a_message_is_the_servers_failure(tmp_path, provider, document):
    """No empty text is scored for it, or kept as an answer: the run stops."""
    with (
        chatting(lambda h: h.send(json.dumps(document).encode())) as server,
        pytest.raises(LMUnreachable, match=r"no message|broke|no JSON object"),
    ):
        ask(make(provider, server, tmp_path))


@pytest.mark.parametrize("provider", CLIENTS)
@pytest.mark.parametrize("status", [302, 307])
def test_redirect_of_a_chat_is_not_followed(tmp_path, provider, status):
    """Neither the prompt nor the key reaches another address."""
    with hostile(lambda h: h.send(chat(ANSWER, h.path))) as other:

        def respond(handler):
            handler.send(b"", status, Location=other.address + handler.path)

        with (
            chatting(respond) as server,
            pytest.raises(LMUnreachable, match="redirects to another address"),
        ):
            ask(make(provider, server, tmp_path))
    assert other.requests == []


@pytest.mark.parametrize("status", [301, 307])
@pytest.mark.parametrize("body", [None, {"model": "m"}])
def test_redirect_of_a_look_is_not_followed(status, body):
    """The key would be taken along."""
    with hostile(lambda h: h.send(b"{}")) as other:
        away = {"Location": other.address}
        with hostile(lambda h: h.send(b"", status, **away)) as server:
            reply = get_json(server.address, KEY, body=body)
    assert reply.status is None
    assert "redirects" in reply.problem
    assert other.requests == []


@pytest.mark.parametrize("respond", [endless, bomb(1), bomb(2)])
def test_look_is_bounded(respond):
    """It ends as a finding."""
    with hostile(respond) as server:
        assert get_json(server.address).status is None


@pytest.mark.parametrize("provider", CLIENTS)
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY"])
def test_loopback_passes_the_proxy_by(tmp_path, monkeypatch, provider, host, variable):
    """Prompts for a server of this machine do not leave it."""
    with (
        hostile(lambda h: h.send(b"", 502)) as proxy,
        chatting(lambda h: h.send(chat(ANSWER, h.path))) as server,
    ):
        monkeypatch.setenv(variable, proxy.address)
        address = f"http://{host}:{server.server_port}"
        assert ask(make(provider, server, tmp_path, api_base=address)) == "42"
        assert get_json(f"{address}/api/tags").status == 200
    assert proxy.requests == []


@pytest.mark.parametrize("provider", CLIENTS)
def test_other_addresses_go_through_the_proxy(tmp_path, monkeypatch, provider):
    """As the environment says."""
    with chatting(lambda h: h.send(chat(ANSWER, h.path))) as proxy:
        proxy.respond = lambda h: (
            h.send(b'{"models": [{"name": "m:latest"}]}')
            if h.path.endswith("tags")
            else h.send(chat(ANSWER, h.path))
        )
        monkeypatch.setenv("HTTP_PROXY", proxy.address)
        lm = make(provider, proxy, tmp_path, api_base="http://lm.example:8000")
        assert ask(lm) == "42"
    assert all(path.startswith("http://lm.example") for path, *_ in proxy.requests)


def test_credentials_of_a_proxy_are_in_no_error(tmp_path, monkeypatch):
    """One of a kind that is not supported is named, its password is not."""
    monkeypatch.setenv("HTTP_PROXY", "socks5://user:hunter2@proxy.example:1")
    settings = LMParams(provider="openai", model="m", api_base="http://lm.example")
    reply = get_json("http://lm.example")
    assert "socks5" in reply.problem
    assert "hunter2" not in reply.problem
    lm = make_lm(settings, tmp_path, run_id="r")
    with pytest.raises(LMUnreachable) as stop:
        ask(lm)
    assert "hunter2" not in str(stop.value) + str(lm.meter.ledger.rows())


@pytest.mark.parametrize(
    ("url", "own"),
    [
        ("http://127.0.0.1:8000/v1", True),
        ("http://127.8.9.1", True),
        ("http://127.1", True),
        ("http://2130706433", True),
        ("http://0.0.0.0:1", True),
        ("http://[::1]:1", True),
        ("http://[::ffff:127.0.0.1]:1", True),
        ("http://LOCALHOST.:1", True),
        ("http://lm.localhost", True),
        ("http://localhost.example", False),
        ("http://127.0.0.1.example", False),
        ("http://10.0.0.1", False),
        ("http://[2001:db8::1]", False),
        ("http://ü.example", False),
        ("there", False),
    ],
)
def test_loopback_is_known_by_name_and_number(url, own):
    """What only looks like it is not."""
    assert is_loopback(url) is own


USAGE = [10**30, -5, "12", "many", float("nan"), 1.5, True, None, [1], {"a": 1}]


@pytest.mark.parametrize("provider", CLIENTS)
@pytest.mark.parametrize("tokens", USAGE, ids=str)
def test_tokens_that_are_no_count_cost_no_answer(tmp_path, provider, tokens):
    """The answer counts and stands in the ledger; the tokens are unknown."""
    usage = {"prompt_tokens": tokens, "completion_tokens": tokens}
    with chatting(lambda h: h.send(chat(ANSWER, h.path, usage))) as server:
        lm = make(provider, server, tmp_path)
        assert ask(lm) == "42"
    (row,) = lm.meter.ledger.rows()
    assert row.error is None
    assert row.prompt_tokens is None or row.prompt_tokens < 1000  # LiteLLM's guess
    assert lm.meter.ledger.totals().paid == 1


@pytest.mark.parametrize(
    "usage", [[1], "all", {"prompt_tokens_details": 3, "completion_tokens_details": []}]
)
def test_usage_of_another_form_costs_no_answer(tmp_path, usage):
    """It is as if there were none."""
    with chatting(lambda h: h.send(chat(ANSWER, h.path, usage))) as server:
        assert ask(make("openai", server, tmp_path)) == "42"


@pytest.mark.parametrize("provider", CLIENTS)
@pytest.mark.parametrize(
    "text", ["forty\ud83d", "\ude00two", r"\ud83d forty", "\ud83d\ude00"], ids=ascii
)
def test_half_a_character_is_replaced(tmp_path, provider, text):
    """It is the text's flaw, not the run's, and the kept answer can be used."""
    answer = json.dumps({"answer": text}, ensure_ascii="\\" not in text)
    if "\\" in text:
        answer = '{"answer": "%s"}' % text  # noqa: UP031 -- braces
    with chatting(lambda h: h.send(chat(answer, h.path))) as server:
        lm = make(provider, server, tmp_path)
        first, again = ask(lm), ask(lm)
    assert first == again
    assert first.encode()
    assert ("\ufffd" in first) or first == "\U0001f600"


def test_vertex_is_asked_without_redirects_too(tmp_path, monkeypatch):
    """The third wire format goes the same way."""
    with hostile(lambda h: h.send(b"{}")) as other:

        def respond(handler):
            if handler.path == "/token":
                handler.send(b'{"access_token": "t", "expires_in": 3600}')
            else:
                handler.send(b"", 307, Location=other.address)

        with hostile(respond) as server:
            google.log_in(monkeypatch, tmp_path, server.address)
            lm = make("vertex", server, tmp_path)
            with pytest.raises(LMUnreachable, match="redirects"):
                ask(lm)
    assert other.requests == []
