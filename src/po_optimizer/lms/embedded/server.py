"""The embedded LM: llama.cpp's own server inside this process, on loopback.

Being threads of this process it cannot outlive it: no orphan remains, however the
run ends. One server per weights and size, shared by all nodes of a run. It answers only
to this process's key, and no page in a browser may read what it says.
"""

import gc
import json
import os
import re
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from logging import getLogger
from pathlib import Path
from typing import Any

from po_optimizer.errors import SettingError, needs_extra
from po_optimizer.lms.embedded.calibration import calibrate, forget_if_unusual
from po_optimizer.lms.embedded.weights import find_weights
from po_optimizer.params.lm import EmbeddedParams

logger = getLogger(__name__)

# Programs that are asked in turn find their prompts' beginning here, some 80 MB each;
# llama.cpp would take 8 GB, more than a small machine has.
_PROMPT_CACHE_MIB = 512
_PER_CONTEXT_TOKEN = 12_000  # bytes of the smallest model's keys and values, 16 bits
_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")
_MB = 1_000_000
_SHORT = 512  # tokens of context that measuring takes
_MEASURED = 32  # tokens that are decoded to measure
_METRIC = re.compile(r"^llamacpp:(\w+) (\S+)$", re.MULTILINE)

# Loopback is open to every account and page of this machine. The runtime cannot check
# the Host header: a page that rebinds its name to loopback lacks the key as well.
KEY = secrets.token_urlsafe(32)

_running: dict[tuple[str, int], "EmbeddedServer"] = {}
_lock = threading.Lock()


class EmbeddedServer:
    """One running server.

    Args:
        weights: The GGUF file.
        params: Slots, threads and port.
        context_tokens: Of one request, prompt and answer together.

    Raises:
        SettingError: The port is taken, the machine too small, or the
            weights cannot be run.
    """

    def __init__(
        self, weights: Path, params: EmbeddedParams, context_tokens: int
    ) -> None:
        with needs_extra("embedded", "the embedded LM"):
            import xllamacpp  # noqa: PLC0415 -- an extra, of 100 MB
        self.weights = weights
        _check_port(params.port)
        check_memory(weights, context_tokens * params.slots, available_memory())
        settings = xllamacpp.CommonParams()
        settings.model.path = str(weights)
        settings.hostnames = ["127.0.0.1"]
        settings.port = params.port
        settings.n_parallel = params.slots
        settings.n_ctx = context_tokens * params.slots
        settings.cpuparams.n_threads = params.threads or _cores()
        settings.cpuparams_batch.n_threads = params.threads_prompt or _cores()
        settings.cache_ram_mib = _PROMPT_CACHE_MIB
        _close_to_others(settings)
        settings.endpoint_metrics = True
        settings.warmup = False
        settings.verbosity = 0
        try:
            self._server = xllamacpp.Server(settings)
        except RuntimeError as error:
            raise SettingError(
                "lm.embedded",
                str(weights),
                f"the runtime refused it ({error})",
                "Check that the file is a GGUF model and that there is memory for "
                f"it and {settings.n_ctx} tokens of context.",
            ) from error
        self.address: str = self._server.listening_address
        self._await_first_answer()

    def _await_first_answer(self) -> None:
        """Ended before its queue runs, llama.cpp's server would wait for ever."""
        self._ask("GET", "/slots", timeout=60)  # answered by the queue itself

    def _ask(
        self, method: str, path: str, body: Any = None, timeout: float = 600
    ) -> bytes:
        host, _, port = self.address.rpartition("/")[2].partition(":")
        with closing(HTTPConnection(host, int(port), timeout=timeout)) as connection:
            headers = {"Authorization": f"Bearer {KEY}"}
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, headers)
            return connection.getresponse().read()

    def measure(self, number: int) -> tuple[float, float]:
        """Tokens a second, decoded and read; no prompt twice, by its number."""
        prompt = " ".join(str(1000 * number + count) for count in range(8))  # 40 tokens
        body = {"prompt": prompt, "n_predict": _MEASURED, "ignore_eos": True}
        answer = json.loads(self._ask("POST", "/completion", body))
        timings = answer["timings"]
        return timings["predicted_per_second"], timings["prompt_per_second"]

    def report(self) -> tuple[int, float]:
        """Tokens decoded so far, and how many a second; logged with those read."""
        text = self._ask("GET", "/metrics", timeout=5).decode()
        numbers = {name: float(value) for name, value in _METRIC.findall(text)}
        tokens = int(numbers["tokens_predicted_total"])
        decoding = numbers["predicted_tokens_seconds"]
        logger.info(
            "%s decoded %d tokens, %.0f a second, and read %.0f, %.0f a second",
            self.weights.name,
            tokens,
            decoding,
            numbers["prompt_tokens_total"],
            numbers["prompt_tokens_seconds"],
        )
        return tokens, decoding

    def stop(self) -> None:
        """Ends the server and frees its memory."""
        del self._server
        gc.collect()


def serve(params: EmbeddedParams, context_tokens: int) -> str:
    """The address of the running server for these weights, started on first use.

    Raises:
        SettingError: The weights are missing or altered.
        SettingError: The server did not start.
    """
    key = (params.model_dump_json(), context_tokens)
    with _lock:
        if key not in _running:
            weights = find_weights(params)
            params = _with_threads(params, weights)
            _running[key] = EmbeddedServer(weights, params, context_tokens)
            logger.info("The embedded LM (%s) is running", weights.name)
        return _running[key].address


def stop_servers() -> None:
    """Ends every embedded server of this process."""
    with _lock:
        while _running:
            server = _running.popitem()[1]
            with suppress(OSError, HTTPException, KeyError):
                forget_if_unusual(server.weights, _cores(), *server.report())
            server.stop()


def _with_threads(params: EmbeddedParams, weights: Path) -> EmbeddedParams:
    """The number of threads as configured, or what is fastest here."""

    @contextmanager
    def start(threads: int) -> Iterator[EmbeddedServer]:
        sizes = {"threads": threads, "slots": 1, "port": 0}
        server = EmbeddedServer(weights, params.model_copy(update=sizes), _SHORT)
        try:
            yield server
        finally:
            server.stop()

    if params.threads or (speed := calibrate(weights, _cores(), start)) is None:
        return params
    logger.info(
        "%s decodes %.0f tokens a second here on %d threads and reads %.0f: an answer "
        "to a new prompt of 1,000 tokens begins after %.0f s",
        weights.name,
        speed.decoding,
        speed.threads,
        speed.reading,
        1000 / speed.reading,
    )
    return params.model_copy(update={"threads": speed.threads})


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _close_to_others(settings: Any) -> None:
    """A key for every request; no page, no web interface, no origin that may read."""
    settings.api_keys = [KEY]
    settings.ui = False
    settings.cors_origins_explicit = True
    settings.cors_origins = settings.cors_methods = settings.cors_headers = ""
    settings.cors_credentials = False


def _check_port(port: int) -> None:
    if port == 0:
        return
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise SettingError(
                "lm.embedded.port",
                port,
                f"the port is not free ({error.strerror})",
                "Choose another one, or 0 for any free port.",
            ) from error


def check_memory(weights: Path, context_tokens: int, available: int | None) -> None:
    """Lets weights pass that can fit.

    The estimate is a lower bound (the file and the smallest known cache of keys and
    values), so that nothing is refused that could run.

    Args:
        weights: The GGUF file.
        context_tokens: Of all slots together.
        available: Bytes; None: unknown, everything passes.

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
