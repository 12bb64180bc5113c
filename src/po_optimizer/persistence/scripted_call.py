"""A call of a program with a scripted LM: what it asks, and what comes out.

Two programs that render the same prompts may still act differently: by another LM,
another number of passages, another tool. The script answers each request from its
own text, so that the same requests get the same answers, in any process.
"""

import contextlib
import contextvars
import hashlib
import inspect
import random
import re
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from logging import LogRecord, getLogger
from typing import Any
from unittest.mock import patch

import dspy
import orjson

from po_optimizer.errors import ArtifactError, NotStoredError, listed
from po_optimizer.patching import ProcessWide, copy_of, own_threads
from po_optimizer.persistence.codec.held_lms import describe_lm
from po_optimizer.persistence.codec.modules import predictors
from po_optimizer.persistence.codec.order import in_order
from po_optimizer.persistence.codec.values import FAILURES, Encoder
from po_optimizer.persistence.scripted_answers import answer, value_of

logger = getLogger(__name__)

Inputs = Mapping[str, Any]
MAX_PROBES = 3
_LONG_SECONDS = 5.0  # of two calls: some programs start a sandbox for each
_MAX_REQUESTS = 200  # an agent that never ends is not followed further
_ADDRESS = re.compile(r"0x[0-9a-f]{6,}")
_SETTING = "po_optimizer_script"
_RAISES = "raises "


class _TooLongError(Exception):
    """The program asked more often than a comparison takes."""


@dataclass(frozen=True)
class Outcome:
    """What a scripted call gave.

    Attributes:
        requests: The sha256 of every request, in order of the texts.
        result: The output as data, or which exception was raised.
        refused: What the program lacks, if it refused for that.
    """

    requests: tuple[str, ...]
    result: str
    refused: str = ""

    def difference(self, other: "Outcome") -> str | None:
        """What differs, in words; None if nothing does."""
        if self.requests != other.requests:
            pairs = zip(self.requests, other.requests, strict=False)
            same = sum(a == b for a, b in pairs)
            n, m = len(self.requests), len(other.requests)
            return f"of {n} requests to the LM {same} are the same ({m} were made)"
        if self.result != other.result:
            return f"it gives {other.result:.200} instead of {self.result:.200}"
        return None


@dataclass(frozen=True)
class Call:
    """Inputs that a program was called with, and what came of it."""

    inputs: Inputs
    outcome: Outcome


class _Script:
    def __init__(self) -> None:
        self.requests: list[str] = []
        self._lock = threading.Lock()

    def reply(self, lm: Any, prompt: Any, messages: Any, kwargs: Any) -> list[str]:
        text = _canonical([_name(lm), prompt, messages, kwargs])
        digest = hashlib.sha256(text).hexdigest()
        with self._lock:
            self.requests.append(digest)
            if len(self.requests) > _MAX_REQUESTS:
                raise _TooLongError
        n = kwargs.get("n") or getattr(lm, "kwargs", {}).get("n") or 1
        return [answer(f"{i}{digest}") for i in range(n)]


class ScriptedLM(dspy.BaseLM):
    """The LM of the run, as far as the program sees; the script answers."""

    def __init__(self) -> None:
        super().__init__(model="scripted", cache=False)


def _name(lm: Any) -> Any:
    if isinstance(lm, ScriptedLM):
        return "scripted"
    return {k: v for k, v in describe_lm(lm).items() if k != "left_out"}


def _canonical(value: Any) -> bytes:
    options = orjson.OPT_NON_STR_KEYS | orjson.OPT_SORT_KEYS
    data = orjson.dumps(value, default=_as_text, option=options)
    return _ADDRESS.sub("0x", data.decode()).encode()


def _as_text(value: Any) -> Any:
    if isinstance(value, type):
        return value.__name__
    if isinstance(value, set | frozenset):
        return sorted(map(repr, value))
    return type(value).__name__


@contextlib.contextmanager
def _answered() -> Iterator[None]:
    """Lets the script answer for every LM, one of a module's globals too.

    Only calls in a context that holds a script are answered by it.
    """
    ask, aask = dspy.BaseLM.__call__, dspy.BaseLM.acall

    def call(
        self: Any, prompt: Any = None, *, messages: Any = None, **kwargs: Any
    ) -> Any:
        script = dspy.settings.get(_SETTING, None)
        if script is None:
            return ask(self, prompt, messages=messages, **kwargs)
        return script.reply(self, prompt, messages, kwargs)

    async def acall(self: Any, *args: Any, **kwargs: Any) -> Any:
        if dspy.settings.get(_SETTING, None) is None:
            return await aask(self, *args, **kwargs)
        return call(self, *args, **kwargs)

    handlers = getLogger("dspy").handlers
    try:
        for handler in handlers:
            handler.addFilter(_is_of_a_real_call)
        with patch.multiple(dspy.BaseLM, __call__=call, acall=acall):
            yield
    finally:
        for handler in handlers:
            handler.removeFilter(_is_of_a_real_call)


def _is_of_a_real_call(_record: LogRecord) -> bool:
    return dspy.settings.get(_SETTING, None) is None


_scripted = ProcessWide(_answered)


def call_program(program: Any, inputs: Inputs) -> Outcome:
    """What the program asks and gives for these inputs; it is not changed."""
    script, refused, result = _Script(), "", ""
    seed = random.getstate()
    settings = {"lm": ScriptedLM(), "disable_history": True, "callbacks": []}
    with (
        _scripted(),
        own_threads(),
        _unchanged(program),
        dspy.context(**settings, **{_SETTING: script}),
    ):
        random.seed(0)
        try:
            result = _text_of(_run(program, dict(inputs)))
        except NotStoredError as error:
            refused = str(error)
        except Exception as error:  # noqa: BLE001 whatever it is, it is compared
            # its words may hold a path or a time
            result = f"{_RAISES}{type(error).__name__}"
            refused = str(error) if isinstance(error, ArtifactError) else ""
        finally:
            random.setstate(seed)
    return Outcome(tuple(sorted(script.requests)), _ADDRESS.sub("0x", result), refused)


def _run(program: Any, inputs: dict[str, Any]) -> Any:
    asynchronous = getattr(type(program), "aforward", None)
    if getattr(type(program), "forward", None) or not asynchronous:
        return program(**inputs)
    import asyncio  # noqa: PLC0415 few programs are asynchronous only

    context = contextvars.copy_context()
    with ThreadPoolExecutor(1) as pool:  # a notebook has a loop in this thread
        call = pool.submit(context.run, asyncio.run, program.acall(**inputs))
        return call.result()


def _text_of(output: Any) -> str:
    encoder = Encoder(rescue=True)
    return _canonical(encoder.encode(output, "output")).decode()


@contextlib.contextmanager
def _unchanged(program: Any) -> Iterator[None]:
    """Lets all modules run with copies of what they hold, and puts it back.

    Else a chat would remember what the script answered. Meanwhile the program's own
    callbacks, which may count or log, hear nothing, and its sets are in one order,
    which is not part of a program.
    """
    modules = [module for _, module in program.named_sub_modules()]
    before = [(vars(m), dict(vars(m))) for m in modules]
    copies: dict[Any, Any] = {id(module): module for module in modules}
    try:
        for live, state in before:
            copied = {name: copy_of(part, copies) for name, part in state.items()}
            live.update({k: in_order(v, keep=True) for k, v in copied.items()})
            live["callbacks"] = []
        yield
    finally:
        for live, state in before:
            live.clear()
            live.update(state)


def probe_inputs(program: Any) -> list[dict[str, Any]]:
    """Inputs to call the program with: of its demos, else made by type."""
    names = _input_names(program)
    demos = [demo for p in predictors(program).values() for demo in p.demos]
    whole = [d for d in demos if all(name in d for name in names)]
    if names and whole:
        return [{name: demo[name] for name in names} for demo in whole[:MAX_PROBES]]
    try:
        return [{name: value_of(a, f"<{name}>") for name, a in names.items()}]
    except FAILURES as error:
        msg = f"no inputs of these types can be made: {names}"
        raise ValueError(msg) from error


def _input_names(program: Any) -> dict[str, Any]:
    """The inputs without a default, with their types."""
    parameters = _parameters(program)
    named = [p for p in parameters if p.kind is not p.VAR_KEYWORD]
    takes_any = len(named) < len(parameters)
    signatures = [p.signature for p in predictors(program).values()]
    own = vars(program).get("signature")
    if takes_any and hasattr(own, "input_fields"):  # as agents have one
        signatures = [own]
    fields = {n: f.annotation for s in signatures for n, f in s.input_fields.items()}
    if takes_any:
        outputs = {name for s in signatures for name in s.output_fields}
        return {name: a for name, a in fields.items() if name not in outputs}
    required = [p for p in named if p.default is p.empty]
    return {
        p.name: fields.get(p.name, str) if p.annotation is p.empty else p.annotation
        for p in required
    }


def _parameters(program: Any) -> list[inspect.Parameter]:
    """What the program's forward takes, looked up where DSPy does not warn of it."""
    own = vars(program).get("forward")
    kind = type(program)
    forward = own or getattr(kind, "forward", None) or getattr(kind, "aforward", None)
    forward = forward or kind.__call__
    try:
        signature = inspect.signature(forward, eval_str=True)
    except NameError:  # an annotation of what is imported for type checkers only
        signature = inspect.signature(forward)
    parameters = list(signature.parameters.values())
    return parameters if own else parameters[1:]


def compare_calls(original: Any, loaded: Any, probes: list[Any]) -> str | None:
    """How the loaded program differs from the original; None if it does not.

    Raises:
        ValueError: The original differs from itself, or lacks a part: no comparison.
    """
    return difference_of(loaded, steady_calls(original, probes))


def difference_of(loaded: Any, calls: list[Call]) -> str | None:
    """How calls of the loaded program differ from those; None if they do not."""
    for call in calls:
        outcome = call_program(loaded, call.inputs)
        if outcome.refused:
            continue
        difference = call.outcome.difference(outcome)
        if difference:
            return f"called with {list(call.inputs)}, {difference}"
    return None


def steady_calls(program: Any, probes: list[Any]) -> list[Call]:
    """Calls of the program, each of which gives the same twice.

    Raises:
        ValueError: One does not, or lacks a part, or fails before it asks anything.
    """
    calls, clock = list[Call](), time.monotonic()
    for inputs in probes[:MAX_PROBES]:
        outcome = call_program(program, inputs)
        if outcome.refused:
            raise ValueError(f"the program itself refuses: {outcome.refused:.200}")
        if outcome.result.startswith(_RAISES) and not outcome.requests:
            raise ValueError(f"called with {listed(inputs)}, it {outcome.result}")
        if outcome.difference(call_program(program, inputs)):
            raise ValueError("two calls of the program itself differ")
        calls.append(Call(inputs, outcome))
        if (seconds := time.monotonic() - clock) > _LONG_SECONDS:
            logger.info(
                "The program is called with made-up answers, to compare what is stored "
                "with it: %.0f s for two calls",
                seconds,
            )
            break
    return calls
