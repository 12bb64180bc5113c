"""An LM is asked as many things at a time as its server answers at once."""

import logging

import pytest

from po_optimizer.errors import SettingError
from po_optimizer.lms.build import make_lm
from po_optimizer.lms.embedded.server import KEY, serve, stop_servers
from po_optimizer.lms.providers import embedded as embedded_provider
from po_optimizer.lms.providers import make_provider
from po_optimizer.lms.providers.base import FEW_AT_A_TIME
from po_optimizer.params.lm import EmbeddedParams, LMParams
from tests.servers.wire import serving
from tests.weights import SMALL, needs_weights


def num_threads(params, key=None):
    """Calls that the provider is asked at a time."""
    return make_provider(params, key).concurrency()


def embedded(slots, asked=0):
    """Threads of the embedded LM."""
    embedded_provider._at_most.cache_clear()
    weights = EmbeddedParams(slots=slots)
    return num_threads(LMParams(embedded=weights, num_threads=asked))


@pytest.mark.parametrize(
    ("slots", "asked", "used"), [(1, 0, 1), (3, 0, 3), (3, 2, 2), (2, 2, 2)]
)
def test_embedded_lm_is_asked_as_it_has_slots(slots, asked, used):
    """0 is every slot; fewer may be wanted."""
    assert embedded(slots, asked) == used


def test_more_threads_than_slots_are_not_used_and_said_once(caplog):
    """The warning names both settings."""
    with caplog.at_level(logging.WARNING):
        assert embedded(2, asked=8) == 2
        num_threads(LMParams(embedded=EmbeddedParams(slots=2), num_threads=8))
    (record,) = caplog.records
    assert "lm.num_threads=8, but lm.embedded.slots=2" in record.getMessage()


def test_embedded_lm_without_weights_still_has_a_number():
    """That weights are missing is said where they are needed."""
    assert num_threads(LMParams(embedded=None)) == 1


@pytest.mark.parametrize(
    ("told", "used"), [(None, 1), ("", 1), ("4", 4), ("0", 1), ("1", 1)]
)
def test_ollama_is_asked_as_its_variable_says(monkeypatch, told, used):
    """Without the variable it is one at a time."""
    monkeypatch.delenv("OLLAMA_NUM_PARALLEL", raising=False)
    if told is not None:
        monkeypatch.setenv("OLLAMA_NUM_PARALLEL", told)
    assert num_threads(LMParams(provider="ollama", model="m")) == used


def test_ollama_variable_that_is_no_number_is_refused(monkeypatch):
    """The error names it."""
    monkeypatch.setenv("OLLAMA_NUM_PARALLEL", "many")
    with pytest.raises(SettingError, match="OLLAMA_NUM_PARALLEL='many'"):
        num_threads(LMParams(provider="ollama", model="m"))


@pytest.mark.parametrize("provider", ["ollama", "openai", "vertex"])
def test_configured_number_is_used_without_a_question(provider):
    """What somebody wrote goes over what a server might tell."""
    unreachable = "http://127.0.0.1:9"
    params = {"provider": provider, "model": "m", "api_base": unreachable}
    assert num_threads(LMParams(**params, num_threads=7)) == 7


@pytest.mark.parametrize("base", [None, "http://127.0.0.1:9", "silent"])
def test_server_that_does_not_tell_is_asked_a_few_at_a_time(base):
    """No address, nobody there, or a server without /props."""
    with serving(lambda prompt: "{}") as server:
        address = server.address if base == "silent" else base
        params = LMParams(provider="openai", model="m", api_base=address)
        assert num_threads(params) == FEW_AT_A_TIME
    assert num_threads(LMParams(provider="vertex", model="m")) == FEW_AT_A_TIME


@pytest.mark.parametrize("tail", ["", "/v1"])
@pytest.mark.parametrize(
    ("props", "used"),
    [
        ({"total_slots": 6}, 6),
        ({"total_slots": 0}, FEW_AT_A_TIME),
        ({"total_slots": "6"}, FEW_AT_A_TIME),
        ([6], FEW_AT_A_TIME),
    ],
)
def test_llama_cpp_server_is_asked_as_it_has_slots(props, used, tail):
    """It tells under /props, beside /v1."""
    with serving(lambda prompt: "{}") as server:
        server.props = props
        base = server.address + tail
        params = LMParams(provider="openai", model="m", api_base=base)
        assert num_threads(params, "key") == used


@needs_weights
def test_real_llama_cpp_server_tells_its_slots(tmp_path):
    """What the embedded runtime's own server says of itself is read."""
    try:
        base = serve(SMALL.model_copy(update={"slots": 3}), 512)
        params = LMParams(provider="openai", model="m", api_base=base)
        lm = make_lm(params, tmp_path, run_id="r", api_key=KEY)
        assert lm.num_threads == 3
    finally:
        stop_servers()
