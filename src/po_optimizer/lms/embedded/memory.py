"""Whether this machine can hold the weights, before the runtime tries."""

from pathlib import Path

from po_optimizer.errors import SettingError

_PER_CONTEXT_TOKEN = 12_000  # bytes of the smallest model's keys and values, 16 bits
_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")
_MB = 1_000_000


def check_memory(weights: Path, context_tokens: int, available: int | None) -> None:
    """Lets weights pass that can fit.

    The estimate is a lower bound (the file and the smallest known cache of keys and
    values), so that nothing is refused that could run.

    Args:
        weights: The GGUF file.
        context_tokens: Of all slots together.
        available: Bytes; None: not known here, everything passes.

    Raises:
        SettingError: The memory cannot be enough.
    """
    needed = weights.stat().st_size + context_tokens * _PER_CONTEXT_TOKEN
    if available is None or needed <= available:
        return
    raise SettingError(
        "lm.embedded",
        str(weights),
        f"it needs at least {needed / _MB:,.0f} MB of memory with {context_tokens} "
        f"tokens of context, {available / _MB:,.0f} MB are available",
        "Free memory, lower lm.context_tokens or lm.embedded.slots, or choose a "
        "smaller model.",
    )


def available_memory(meminfo: Path = _MEMINFO, cgroup: Path = _CGROUP) -> int | None:
    """Bytes that a process may still take, swap included; None: not known here."""
    try:
        lines = meminfo.read_text().splitlines()
        kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in lines}
        free = (kilobytes["MemAvailable"] + kilobytes["SwapFree"]) * 1024
    except (OSError, KeyError, ValueError, IndexError):
        return None
    left = _left_in_container(cgroup)
    return free if left is None else min(free, left)


def _left_in_container(cgroup: Path) -> int | None:
    """Bytes under a container's limit; None: there is none."""
    try:
        limit = int((cgroup / "memory.max").read_text())
        return limit - int((cgroup / "memory.current").read_text())
    except (OSError, ValueError):  # no such file, or the word max
        return None
