"""A machine that is too small is told so before the weights are read."""

import pytest

from po_optimizer.errors import SettingError
from po_optimizer.lms.embedded import server
from po_optimizer.lms.embedded.server import available_memory, check_memory
from po_optimizer.params.lm import EmbeddedParams


@pytest.fixture
def weights(tmp_path):
    """A file of 5 MB."""
    path = tmp_path / "w.gguf"
    path.write_bytes(bytes(5_000_000))
    return path


def test_too_little_memory_says_what_is_needed(weights):
    """Both figures, and the settings that lower the first."""
    with pytest.raises(SettingError, match=r"at least 17 MB.*16 MB are av") as e:
        check_memory(weights, 1000, 16_000_000)
    assert "lm.context_tokens" in str(e.value)


@pytest.mark.parametrize("available", [17_000_000, None])
def test_enough_or_unknown_memory_passes(weights, available):
    """Nothing is refused that could run."""
    check_memory(weights, 1000, available)


def test_server_is_not_started_on_too_small_a_machine(weights, monkeypatch):
    """The runtime would be killed while it loads."""
    monkeypatch.setattr(server, "available_memory", lambda: 1000)
    with pytest.raises(SettingError, match="MB of memory"):
        server.EmbeddedServer(weights, EmbeddedParams(), 8192)


def test_swap_counts_and_a_container_limits(tmp_path):
    """The smaller of what the machine has and what the container may take."""
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 9 kB\nMemAvailable: 3 kB\nSwapFree: 1 kB\n")
    assert available_memory(meminfo, tmp_path) == 4096
    (tmp_path / "memory.max").write_text("5000")
    (tmp_path / "memory.current").write_text("2000")
    assert available_memory(meminfo, tmp_path) == 3000
    (tmp_path / "memory.max").write_text("max\n")
    assert available_memory(meminfo, tmp_path) == 4096


def test_machine_that_does_not_tell_lets_all_pass(tmp_path):
    """As where there is no /proc."""
    assert available_memory(tmp_path / "none", tmp_path) is None
