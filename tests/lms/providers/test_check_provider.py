"""What stands in the way of an LM is said before it is asked, with what mends it."""

import pytest

from po_optimizer.errors import SettingError
from po_optimizer.lms.build import make_lm
from po_optimizer.lms.http import get_json
from po_optimizer.lms.providers import make_provider, provider_names
from po_optimizer.params.lm import LMParams
from tests.servers.wire import serving

KEY = "sk-canary-0123456789"


@pytest.fixture
def server():
    """A server of all three wire formats."""
    with serving(lambda prompt: "{}") as running:
        yield running


def problems(key=None, **params):
    """Name -> the sentence of each check that does not pass."""
    checks = list(make_provider(LMParams(**params), key).check_provider())
    return {c.name: str(c.as_error()) for c in checks if not c.passed}


def test_embedded_lm_needs_no_look():
    """It has no server of somebody else's."""
    assert list(make_provider(LMParams()).check_provider()) == []


def test_ollama_that_is_ready_has_no_problem(server):
    """It answers, the model is pulled (`:latest` is implied), the context is sent."""
    params = LMParams(provider="ollama", model="m", api_base=server.address)
    checks = list(make_provider(params).check_provider())
    assert [c.name for c in checks if c.passed] == [
        "ollama_context",
        "ollama_answers",
        "ollama_model_pulled",
    ]


def test_ollama_that_does_not_run_is_to_be_started():
    """The error has the command and the variable."""
    found = problems(provider="ollama", model="m", api_base="http://127.0.0.1:9")
    assert "ollama serve" in found["ollama_answers"]
    assert "OLLAMA_BASE_URL=" in found["ollama_answers"]


def test_model_that_is_not_pulled_is_to_be_pulled(server):
    """The error has the command and what is there."""
    found = problems(provider="ollama", model="granite4", api_base=server.address)
    assert "ollama pull granite4" in found["ollama_model_pulled"]
    assert "m:latest" in found["ollama_model_pulled"]


def test_other_server_on_the_port_is_no_ollama(server):
    """A wrong port is told from a missing model."""
    base = f"{server.address}/other"
    found = problems(provider="ollama", model="m", api_base=base)
    assert "is not Ollama" in found["ollama_answers"]
    assert "OLLAMA_BASE_URL=" in found["ollama_answers"]


def test_ollama_address_under_v1_is_corrected():
    """The error has the address that works."""
    found = problems(provider="ollama", model="m", api_base="http://there:1/v1/")
    assert "OLLAMA_BASE_URL=http://there:1" in found["ollama_answers"]


def test_key_that_ollama_refuses_is_not_repeated(server):
    """The variable is named, the key is not."""
    server.key = "other"
    found = problems(KEY, provider="ollama", model="m", api_base=server.address)
    assert "PO_LM_API_KEY" in found["ollama_answers"]
    assert KEY not in str(found)


def test_context_below_the_prompt_is_refused(server):
    """A num_ctx under lm.context_tokens cuts prompts."""
    found = problems(
        provider="ollama", model="m", api_base=server.address, extra={"num_ctx": 99}
    )
    assert "num_ctx=99" in found["ollama_context"]


def test_context_that_is_no_number_is_refused(server):
    """Ollama would answer HTTP 400 to each call."""
    extra = {"num_ctx": "8k"}
    found = problems(provider="ollama", model="m", api_base=server.address, extra=extra)
    assert "num_ctx='8k'" in found["ollama_context"]
    assert "no number" in found["ollama_context"]


@pytest.mark.parametrize(("length", "refused"), [(4096, True), (8192, False)])
def test_context_above_the_model_s_own_is_refused(server, length, refused):
    """Ollama would cut at what the model reads, whatever num_ctx says."""
    server.model_info = {
        "general.architecture": "llama",
        "llama.context_length": length,
    }
    found = problems(provider="ollama", model="m", api_base=server.address)
    assert ("ollama_model_context" in found) is refused
    assert ("lm.context_tokens=4096 or less" in str(found)) is refused


@pytest.mark.parametrize("told", [{}, {"llama.context_length": "long"}, [1], None])
def test_model_whose_context_is_not_told_is_taken(server, told):
    """An older server, or another answer, stops nobody."""
    server.model_info = told
    assert problems(provider="ollama", model="m", api_base=server.address) == {}


def test_ollama_is_sent_its_context_and_stays_loaded():
    """What the parameters say beside it goes over it."""
    params = LMParams(provider="ollama", model="m", extra={"keep_alive": "1h"})
    assert make_provider(params).request_arguments() == {
        "num_ctx": 8192,
        "keep_alive": "1h",
    }


def test_openai_server_that_is_ready_has_no_problem(server):
    """It answers and lists the model."""
    params = LMParams(provider="openai", model="m:latest", api_base=server.address)
    checks = list(make_provider(params).check_provider())
    assert [c.name for c in checks] == ["server_answers", "server_has_model"]
    assert all(c.passed for c in checks)


@pytest.mark.parametrize(
    ("params", "name", "says"),
    [
        ({}, "server_answers", "PO_LM_BASE_URL"),
        ({"api_base": "http://127.0.0.1:9"}, "server_answers", "PO_LM_BASE_URL"),
        ({"api_base": "there:8000"}, "server_answers", "no http"),
    ],
)
def test_openai_server_out_of_reach_names_the_variable(params, name, says):
    """Missing, refused and malformed addresses."""
    assert says in problems(provider="openai", model="m", **params)[name]


def test_openai_server_with_other_models_lists_them(server):
    """A wrong name would be answered by another model, or by none."""
    found = problems(provider="openai", model="x", api_base=server.address)
    assert "m:latest" in found["server_has_model"]
    assert "PO_LM_MODEL" in found["server_has_model"]


@pytest.mark.parametrize("key", [None, KEY])
def test_missing_and_wrong_keys_name_the_variable(server, key):
    """The key itself is not repeated."""
    server.key = "other"
    found = problems(key, provider="openai", model="m", api_base=server.address)
    assert "PO_LM_API_KEY" in found["server_key"]
    assert KEY not in str(found)


def test_server_that_does_not_list_models_is_let_through(server):
    """Gateways need not have /models; the first call will tell."""
    base = f"{server.address}/gateway"
    assert problems(provider="openai", model="m", api_base=base) == {}


def test_answer_that_is_no_json_has_no_document(server):
    """Nor has one that never came."""
    assert get_json("http://127.0.0.1:9").status is None
    assert get_json(f"{server.address}/nowhere").document is None


def test_check_becomes_the_error_of_its_setting():
    """It names setting, value, what is allowed and what to do."""
    provider = make_provider(LMParams(provider="openai", model="m"))
    check = next(provider.check_provider())
    assert isinstance(check.as_error(), SettingError)
    assert str(check.as_error()).startswith(
        "lm.api_base=None cannot be used: it needs an OpenAI-compatible server that "
        "answers. There is no address. Set PO_LM_BASE_URL"
    )


def test_checks_of_an_lm_are_named_after_it(tmp_path, server):
    """Task LM and prompt LM stand in one report."""
    params = LMParams(provider="ollama", model="x", api_base=server.address)
    checks = make_lm(params, tmp_path, run_id="r").check_provider()
    assert [(check.name, check.passed) for check in checks] == [
        ("ollama_context (ollama-x)", True),
        ("ollama_answers (ollama-x)", True),
        ("ollama_model_pulled (ollama-x)", False),
    ]
    assert "ollama pull x" in checks[-1].message
    assert checks[0].message == ""


def test_providers_are_the_modules_of_the_package():
    """A new one is a new file; a name without one is refused, with all there are."""
    assert provider_names() == ["embedded", "litellm", "ollama", "openai", "vertex"]
    for name in provider_names():
        assert make_provider(LMParams(provider=name, model="m")).params.provider == name
    with pytest.raises(SettingError, match=r"lm\.provider='olama'.*ollama"):
        make_provider(LMParams(provider="olama", model="m"))
