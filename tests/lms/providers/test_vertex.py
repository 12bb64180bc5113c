"""Vertex AI by DSPy's own client: its doors, tokens, options, prices."""

import json
import sys

import dspy
import google.auth as google_auth
import pytest

from po_optimizer.errors import PoOptimizerError, SettingError
from po_optimizer.lms.build import lm_of, make_lm
from po_optimizer.lms.lm import use_lm
from po_optimizer.lms.providers import make_provider
from po_optimizer.lms.stops import LMNotReady, LMUnreachable
from po_optimizer.params.lm import LMParams
from tests.lms.hostile import chat, hostile
from tests.scripted import answer_of
from tests.servers import google

PLACE = {"project": "p", "location": "europe-west4"}
PARENT = "/v1/projects/p/locations/europe-west4"
USAGE = {"promptTokenCount": 1000, "candidatesTokenCount": 10, "thoughtsTokenCount": 90}
CLAUDE = {
    "content": [{"type": "text", "text": "yes"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 7, "output_tokens": 3},
}


def gemini(text="yes", reason="STOP"):
    """An answer of Gemini's."""
    content = {"role": "model", "parts": [{"text": text}] if text else []}
    return {
        "candidates": [{"content": content, "finishReason": reason}],
        "usageMetadata": USAGE,
    }


def answer(handler, document=None):
    """A token, or an answer in the format of the path."""
    path = handler.path
    if path == "/token":
        return handler.send(b'{"access_token": "ya29.t", "expires_in": 3600}')
    if path.endswith("/chat/completions"):
        return handler.send(chat("yes", path))
    known = CLAUDE if path.endswith(":rawPredict") else gemini()
    return handler.send(json.dumps(document or known).encode())


@pytest.fixture
def vertex(tmp_path, monkeypatch):
    """A function that makes an LM on a server, by what the server answers."""
    contexts = []

    def make(respond=answer, **params):
        context = hostile(respond)
        server = context.__enter__()
        contexts.append(context)
        google.log_in(monkeypatch, tmp_path, server.address)
        chosen = {"model": "gemini-2.5-flash", "vertex": PLACE, "num_retries": 0}
        settings = LMParams(
            provider="vertex", api_base=server.address, **{**chosen, **params}
        )
        return make_lm(settings, tmp_path, run_id="r", api_key="sk-other"), server

    yield make
    for context in contexts:
        context.__exit__(None, None, None)


def asked(server):
    """Path, headers and body of each request that was no request for a token."""
    return [
        (path, headers, json.loads(body))
        for path, headers, body in server.requests
        if path != "/token"
    ]


@pytest.mark.parametrize(
    ("model", "path"),
    [
        (
            "gemini-2.5-flash",
            "/publishers/google/models/gemini-2.5-flash:generateContent",
        ),
        (
            "claude-sonnet-4-5@20250929",
            "/publishers/anthropic/models/claude-sonnet-4-5@20250929:rawPredict",
        ),
        (
            "meta/llama-3.3-70b-instruct-maas",
            "/endpoints/openapi/chat/completions",
        ),
    ],
)
def test_each_maker_s_model_is_asked_at_its_own_address(vertex, model, path):
    """Project and location stand in it, and Google's token goes along."""
    lm, server = vertex(model=model)
    assert lm("really?") == ["yes"]
    ((there, headers, _),) = asked(server)
    assert there == PARENT + path
    assert headers["authorization"] == "Bearer ya29.t"
    assert lm.meter.ledger.totals().cost_usd > 0


@pytest.mark.parametrize("location", ["europe-west4", "global"])
def test_open_models_are_at_home_in_the_location(location, tmp_path, monkeypatch):
    """Without an address it is Google's, which differs by location."""
    google.log_in(monkeypatch, tmp_path, "http://127.0.0.1:9")
    place = {"project": "p", "location": location}
    params = LMParams(provider="vertex", model="meta/m", vertex=place)
    config = make_provider(params).connect().config
    host = "aiplatform.googleapis.com"
    host = host if location == "global" else f"{location}-{host}"
    path = f"v1/projects/p/locations/{location}/endpoints/openapi"
    assert config.base_urls == {"openai-chat": f"https://{host}/{path}"}


def test_thoughts_are_paid_as_written(vertex):
    """Gemini counts them apart, Google's bill does not."""
    lm, _ = vertex()
    lm("really?")
    (row,) = lm.meter.ledger.rows()
    assert (row.prompt_tokens, row.completion_tokens) == (1000, 100)
    assert row.cost_usd == pytest.approx(1000 * 0.30e-6 + 100 * 2.50e-6)


def test_options_are_said_in_the_model_s_own_words(vertex):
    """OpenAI's names become Google's; Google's own go as they are."""
    safety = [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]
    extra = {"top_p": 0.5, "reasoning_effort": "none", "safetySettings": safety}
    lm, server = vertex(extra=extra, max_tokens=50)
    lm("really?")
    ((_, _, body),) = asked(server)
    assert body["safetySettings"] == safety
    assert body["generationConfig"] == {
        "temperature": 0,
        "maxOutputTokens": 50,
        "topP": 0.5,
        "thinkingConfig": {"thinkingBudget": 0},
    }


@pytest.mark.parametrize(
    "option", [{"reasoning_effort": "some"}, {"generationConfig": {"topK": "some"}}]
)
def test_option_that_cannot_be_sent_names_the_setting(vertex, option):
    """Before anything is asked; Google's own group would replace the schema."""
    lm, server = vertex(extra=option)
    with pytest.raises(LMNotReady, match=r"lm\.extra.*some"):
        lm("really?")
    assert server.requests == []


@pytest.mark.parametrize(
    "document",
    [
        gemini("", "RECITATION"),
        {"promptFeedback": {"blockReason": "OTHER"}, "usageMetadata": USAGE},
    ],
)
def test_answer_that_google_withholds_is_an_empty_one(vertex, document):
    """Whatever its reason: the run goes on."""
    lm, _ = vertex(lambda handler: answer(handler, document))
    assert lm("really?") == [""]


def test_token_is_asked_for_again_before_it_ends(vertex):
    """A run of hours outlives every token; calls in between share one."""

    def short(handler):
        seconds = 1 if len(handler.server.requests) == 1 else 3600
        if handler.path == "/token":
            token = {"access_token": f"t{seconds}", "expires_in": seconds}
            handler.send(json.dumps(token).encode())
        else:
            answer(handler)

    lm, server = vertex(short)
    for question in ("a?", "b?", "c?"):
        lm(question)
    paths = [path.rpartition("/")[2] for path, _, _ in server.requests]
    ask = "gemini-2.5-flash:generateContent"
    assert paths == ["token", ask, "token", ask, ask]
    sent = [headers["authorization"] for _, headers, _ in asked(server)]
    assert sent == ["Bearer t1", "Bearer t3600", "Bearer t3600"]


def test_login_that_google_refuses_stops_the_run(vertex):
    """The sentence says how to log in; nothing is tried again."""

    def refuse(handler):
        handler.send(b'{"error": "invalid_grant", "error_description": "revoked"}', 400)

    lm, server = vertex(refuse, num_retries=3)
    says = r"revoked.*gcloud auth application-default"
    with use_lm(lm, stage="test"), pytest.raises(LMUnreachable, match=says):
        dspy.Predict("question -> answer")(question="why?")
    assert len(server.requests) == 1


def test_token_server_that_is_busy_is_asked_again(vertex, monkeypatch):
    """It is a fault of the wire as any other."""
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    busy = iter(range(30))

    def respond(handler):
        if handler.path == "/token" and next(busy) < 5:  # google-auth tries thrice
            handler.send(b"{}", 503)
        else:
            answer(handler)

    lm, _ = vertex(respond, num_retries=3)
    assert lm("really?") == ["yes"]


def test_litellm_s_string_for_gemini_needs_no_litellm(tmp_path, monkeypatch):
    """From Python, too: project and location are LiteLLM's variables or ours."""
    monkeypatch.setenv("VERTEXAI_PROJECT", "theirs")
    monkeypatch.setenv("VERTEX_LOCATION", "europe-west4")
    lm = lm_of("vertex_ai/gemini-2.5-pro", tmp_path, run_id="r")
    assert lm.params.provider == "vertex"
    assert lm.model == "vertex_ai/gemini-2.5-pro"
    assert lm.params.vertex.project == "theirs"
    assert lm.params.vertex.location == "europe-west4"
    other = lm_of("vertex_ai/mistral-large@2411", tmp_path, run_id="r")
    assert other.params.provider == "litellm"


def test_location_that_is_none_is_refused(tmp_path, monkeypatch):
    """It becomes part of an address; from a variable, too, in a sentence."""
    with pytest.raises(ValueError, match="location"):
        LMParams(provider="vertex", vertex={"location": "a.b/c"})
    monkeypatch.setenv("VERTEX_LOCATION", "a.b/c")
    with pytest.raises(SettingError, match="environment variables say location"):
        lm_of("vertex_ai/gemini-2.5-pro", tmp_path, run_id="r")


def test_vertex_that_is_ready_has_no_problem(vertex):
    """Credentials and the project that they name are found."""
    lm, _ = vertex(vertex={})
    checks = list(lm.provider.check_provider())
    assert all(finding.passed for finding in checks)
    assert checks[-1].value == google.PROJECT


def problem(name):
    """The sentence of the only check that does not pass."""
    provider = make_provider(LMParams(provider="vertex", model="gemini-2.5-flash"))
    (failed,) = (each for each in provider.check_provider() if not each.passed)
    assert failed.name == name
    with pytest.raises(SettingError) as error:
        provider.connect()
    return str(error.value)


def test_missing_google_package_is_named(monkeypatch):
    """With the command that installs it."""
    monkeypatch.setitem(sys.modules, "google.auth.exceptions", None)
    provider = make_provider(LMParams(provider="vertex", model="gemini-2.5-flash"))
    with pytest.raises(PoOptimizerError, match=r"pip install .po-optimizer\[vertex\]"):
        list(provider.check_provider())


@pytest.mark.parametrize("content", ["{}", "no json", '{"type": "sk-canary"}'])
def test_unusable_credentials_say_how_to_log_in(tmp_path, monkeypatch, content):
    """The file's content is not repeated."""
    path = tmp_path / "account.json"
    path.write_text(content)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    sentence = problem("vertex_credentials")
    assert "gcloud auth application-default login" in sentence
    assert "sk-canary" not in sentence


def test_google_is_asked_once_who_we_are(vertex, monkeypatch):
    """Without a key file that is a request to a server of Google's."""
    lm, _ = vertex()
    default, asked = google_auth.default, []

    def counted(**arguments):
        asked.append(arguments)
        return default(**arguments)

    monkeypatch.setattr(google_auth, "default", counted)
    lm.provider.connect()
    assert len(asked) == 1


def test_missing_project_names_the_variable(monkeypatch):
    """Credentials of a person name no project."""
    monkeypatch.setattr("google.auth.default", lambda scopes: (object(), None))
    assert "GCP_PROJECT" in problem("vertex_project")


def test_price_comes_from_the_table():
    """Long prompts cost more; an unknown model has no price, which is not zero."""
    pro = make_provider(LMParams(provider="vertex", model="gemini-2.5-pro"))
    long, short = (pro.cost(answer_of(n, 0)) for n in (300_000, 150_000))
    assert long > 1.5 * short * 2
    unlisted = make_provider(LMParams(provider="vertex", model="no-such-model"))
    assert unlisted.cost(answer_of(10, 10)) is None


def test_kept_prompts_are_paid_at_their_own_price():
    """Gemini counts them among the prompt's tokens, Claude beside them."""
    gemini = make_provider(LMParams(provider="vertex", model="gemini-2.5-flash"))
    kept = gemini.cost(answer_of(1000, 0, cache_read_tokens=900))
    assert kept == pytest.approx(100 * 0.30e-6 + 900 * 0.03e-6)
    claude = make_provider(LMParams(provider="vertex", model="claude-sonnet-4-5"))
    answer = answer_of(100, 0, cache_read_tokens=900, cache_write_tokens=10)
    assert claude.cost(answer) == pytest.approx(100 * 3e-6 + 900 * 3e-7 + 10 * 3.75e-6)
    assert claude.tokens(answer)["prompt_tokens"] == 1010
