"""The prompt LM may be another one, and nothing of the task LM leaks into it."""

import pytest

from po_optimizer.errors import PoOptimizerError, SettingError
from po_optimizer.lms.selection import prompt_lm_params, task_lm_params

LM = {
    "provider": "ollama",
    "model": "granite4",
    "api_base": "http://there:1",
    "context_tokens": 16384,
    "timeout_seconds": 77.0,
    "extra": {"top_k": 3},
    "price": {"prompt": 1, "completion": 1},
    "bounds": {"items": 2},
    "embedded": {"file": "w.gguf"},
}


def prompt_lm(**own):
    """The prompt LM over the LM above."""
    return prompt_lm_params({"lm": LM, "prompt_lm": own})


def test_prompt_lm_is_the_task_lm_with_its_keys_over_it():
    """Nested keys are merged."""
    made = prompt_lm(temperature=0.7, extra={"seed": 1})
    assert (made.model, made.temperature) == ("granite4", 0.7)
    assert made.extra == {"top_k": 3, "seed": 1}
    assert made.api_base == "http://there:1"


def test_other_provider_takes_nothing_that_is_about_the_first():
    """Neither address, weights, bounds, price nor a server's own arguments."""
    made = prompt_lm(
        provider="vertex", model="gemini-2.5-flash", bounds={"text_characters": 600}
    )
    assert (made.api_base, made.embedded, made.bounds, made.price) == (None,) * 4
    assert (made.extra, made.context_tokens) == ({}, 8192)
    assert made.timeout_seconds == 77.0


def test_other_model_of_one_provider_keeps_the_server():
    """But neither weights, price nor bounds."""
    made = prompt_lm(model="mistral:7b")
    assert (made.api_base, made.extra) == ("http://there:1", {"top_k": 3})
    assert (made.embedded, made.bounds, made.price) == (None,) * 3


def test_whole_bounds_are_the_prompt_lms_own():
    """Bounds given in full were meant for it."""
    bounds = {"items": 1, "item_characters": 2, "text_characters": 3}
    own = {"provider": "embedded", "model": "x", "bounds": bounds}
    assert prompt_lm(**own).bounds.text_characters == 3


@pytest.mark.parametrize("provider", ["openai", "ollama", "vertex", "litellm"])
def test_bounds_are_the_embedded_lms_alone(provider):
    """Base's reach no other model, whoever the parameters choose."""
    lm = {**LM, "provider": provider, "model": "m"}
    assert task_lm_params({"lm": lm}).bounds is None
    inside = {**LM, "provider": "embedded", "model": "w"}
    assert task_lm_params({"lm": inside}).bounds.items == 2


@pytest.mark.parametrize("model", ["gpt-5", "gpt-5.6-luna", "openai/o3-mini", "o1"])
def test_model_that_reasons_takes_no_temperature(model):
    """It would refuse every prompt; null is sent as nothing."""
    lm = {"provider": "litellm", "model": model}
    with pytest.raises(SettingError, match=r"lm\.temperature=null"):
        task_lm_params({"lm": lm})
    assert task_lm_params({"lm": {**lm, "temperature": None}}).temperature is None
    for other in ("gpt-5-chat-latest", "olmo-7b", "gpt-4o"):
        task_lm_params({"lm": {**lm, "model": other}})


@pytest.mark.parametrize("bounds", [None, {}])
def test_a_part_of_bounds_needs_the_rest(bounds):
    """An environment that lifts `lm.bounds` lifts them for the prompt LM too."""
    lm = {"provider": "embedded", "model": "m", "bounds": bounds}
    own = {"bounds": {"text_characters": 600}}
    made = prompt_lm_params({"lm": lm, "prompt_lm": own})
    assert (made.bounds is None) == (bounds is None)


def test_weights_are_the_embedded_lms_alone():
    """An environment need not take back those that base names."""
    assert task_lm_params({"lm": LM}).embedded is None
    inside = {**LM, "provider": "embedded", "model": "w"}
    assert task_lm_params({"lm": inside}).embedded.file == "w.gguf"


def test_weights_do_not_pass_for_another_model():
    """Results would carry its name; a file of the user's own has the name he gives."""
    weights = {"file": "SmolLM2-135M.gguf", "hub_repo": "Some/Qwen-GGUF"}
    lm = {"provider": "embedded", "embedded": weights}
    for known in ("smollm2-135m", "qwen"):
        assert task_lm_params({"lm": {**lm, "model": known}}).model == known
    with pytest.raises(SettingError, match=r"lm\.model='phi4'.*SmolLM2.*path"):
        task_lm_params({"lm": {**lm, "model": "phi4"}})
    own = {**lm, "model": "phi4", "embedded": {**weights, "path": "/w.gguf"}}
    assert task_lm_params({"lm": own}).model == "phi4"


def test_other_provider_without_a_model_is_refused():
    """The task LM's name means nothing there."""
    with pytest.raises(SettingError, match=r"prompt_lm\.model"):
        prompt_lm(provider="vertex")


def test_model_that_is_not_named_is_refused():
    """As where PO_LM_MODEL is not set."""
    with pytest.raises(SettingError, match=r"lm\.model=None.*PO_LM_MODEL"):
        task_lm_params({"lm": {"provider": "openai", "model": None}})


@pytest.mark.parametrize(
    ("provider", "variable"),
    [("ollama", "OLLAMA_BASE_URL"), ("openai", "PO_LM_BASE_URL")],
)
def test_address_comes_from_the_environment(monkeypatch, provider, variable):
    """A parameter wins over it."""
    monkeypatch.setenv(variable, "http://env:1")
    lm = {"provider": provider, "model": "m"}
    assert task_lm_params({"lm": lm}).api_base == "http://env:1"
    said = {**lm, "api_base": "http://said:1"}
    assert task_lm_params({"lm": said}).api_base == "http://said:1"


def test_unknown_key_is_refused():
    """A typo is an error, for both roles."""
    with pytest.raises(PoOptimizerError):
        task_lm_params({"lm": {"modle": "m"}})
    with pytest.raises(PoOptimizerError):
        prompt_lm(temprature=1)
