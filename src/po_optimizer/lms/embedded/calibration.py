"""How many threads decode fastest on this machine: measured once, and kept."""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, suppress
from logging import getLogger
from pathlib import Path
from typing import Protocol

from pydantic import PositiveFloat, TypeAdapter, ValidationError

from po_optimizer.files.atomic import write_whole
from po_optimizer.lms.embedded.weights import weights_folder
from po_optimizer.params.base import Frozen

logger = getLogger(__name__)

_SECONDS = 8.0  # after them no further round begins
_ROUNDS = 3
_WORTH = 1.1  # all cores decode so much faster, or half of them are left to others
_USUAL = (0.6, 1.7)  # of the kept speed; beyond, the machine is not what it was
_ENOUGH = 200  # tokens; fewer give no reliable speed


class Speed(Frozen):
    """What was measured of some weights on a machine.

    Args:
        threads: For decoding, the fastest.
        decoding: Tokens a second with them.
        reading: Tokens of a prompt a second, with every core.
        busy: Other work took cores meanwhile: it is measured again once none does.
    """

    threads: int
    decoding: PositiveFloat
    reading: PositiveFloat
    busy: bool = False


class Probe(Protocol):
    """A server that runs with a number of threads."""

    def measure(self, number: int) -> tuple[float, float]:
        """Tokens a second, decoded and read; no prompt twice, by its number."""
        ...


Start = Callable[[int], AbstractContextManager[Probe]]
"""Threads for decoding -> a server that runs with so many, and ends with the block."""


def calibrate(weights: Path, cores: int, start: Start) -> Speed | None:
    """The kept speed of these weights, or a new one of about ten seconds.

    Half of the cores and all of them are measured in turn, so that other work on the
    machine falls on both alike.

    Args:
        weights: The GGUF file.
        cores: Of this machine, as far as this process may use them.
        start: Gives a server to measure.

    Returns:
        None on a single core, where there is nothing to choose.
    """
    if cores == 1:
        return None
    name, busy = _name(weights, cores), _is_busy(cores)
    kept = _read().get(name)
    if kept is not None and (busy or not kept.busy):
        return kept
    logger.info("Measuring once how fast %s is here, about 10 s", weights.name)
    speed = _measure(start, cores // 2, cores).model_copy(update={"busy": busy})
    _keep(name, speed)
    return speed


def _is_busy(cores: int) -> bool:
    """Whether half of the cores or more had work in the last minute, if it is known."""
    return hasattr(os, "getloadavg") and os.getloadavg()[0] >= cores / 2


def _measure(start: Start, half: int, every: int) -> Speed:
    rounds: list[dict[int, tuple[float, float]]] = []
    end = time.monotonic() + _SECONDS
    with ExitStack() as running:
        probes = {n: running.enter_context(start(n)) for n in (half, every)}
        while len(rounds) < _ROUNDS and (not rounds or time.monotonic() < end):
            number = len(rounds)
            rounds.append({n: probe.measure(number) for n, probe in probes.items()})
    gain = statistics.median(seen[every][0] / seen[half][0] for seen in rounds)
    threads = every if gain >= _WORTH else half
    decoding, reading = (
        round(statistics.median(seen[threads][place] for seen in rounds), 1)
        for place in (0, 1)
    )
    return Speed(threads=threads, decoding=decoding, reading=reading)


def forget_if_unusual(weights: Path, cores: int, tokens: int, decoding: float) -> None:
    """Has the speed measured anew at the next start if this run was far from it.

    Args:
        weights: The GGUF file.
        cores: As for `calibrate`.
        tokens: That were decoded.
        decoding: Tokens a second.
    """
    name = _name(weights, cores)
    kept = _read().get(name)
    if kept is None or tokens < _ENOUGH:
        return
    low, high = (share * kept.decoding for share in _USUAL)
    if not low <= decoding <= high:
        _keep(name, None)


def _name(weights: Path, cores: int) -> str:
    machine = f"{platform.node()} {platform.processor() or platform.machine()}"
    return f"{machine} {cores} {weights.name} {weights.stat().st_size}"


def _file() -> Path:
    return weights_folder() / "speed.json"


def _read() -> dict[str, Speed]:
    """What is kept; nothing if it cannot be read: it is only measured again."""
    with suppress(OSError, ValidationError):
        return TypeAdapter(dict[str, Speed]).validate_json(_file().read_bytes())
    return {}


def _keep(name: str, speed: Speed | None) -> None:
    """Keeps a speed, or forgets it; a folder that cannot be written keeps nothing."""
    speeds = {**_read(), name: speed}
    kept = {name: speed.model_dump() for name, speed in speeds.items() if speed}
    with suppress(OSError):
        write_whole(_file(), json.dumps(kept, indent=2))
