"""Saves, loads and asks ordinary programs in a process of its own.

Run as a script, so that it knows nothing of the tests' package: an order as JSON on
the standard input, one JSON object on the standard output.
"""

import asyncio
import dataclasses
import enum
import hashlib
import importlib.util
import inspect
import json
import logging
import math
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import SimpleNamespace
from typing import Any

CORPUS = [f"passage {number} about things" for number in range(9)]
_ADDRESS = re.compile(r"0x[0-9a-f]{6,}")
_CHAT_FIELD = re.compile(r"`\[\[ ## (\w+) ## \]\]`")
_JSON_FIELD = re.compile(r"`(\w+)`")
_XML_FIELD = re.compile(r"`<(\w+)>`")

Order = dict[str, Any]


def plain(value: Any) -> Any:
    """A value as JSON that shows its types' names and hides addresses."""
    if value is None or isinstance(value, bool):
        return value
    for kinds, form in _FORMS:
        if isinstance(value, kinds):
            return form(value)
    if hasattr(value, "get_secret_value"):
        return {"secret": plain(value.get_secret_value())}
    if hasattr(value, "model_fields_set"):
        return {type(value).__name__: plain(_fields(value))}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        return {type(value).__name__: {n: plain(getattr(value, n)) for n in names}}
    return _ADDRESS.sub("0x", f"{type(value).__name__} {value}")


def _fields(value: Any) -> dict[str, Any]:
    return {k: v for k, v in vars(value).items() if not k.startswith("__")}


def _number(value: Any) -> Any:
    exact = type(value) is int or (type(value) is float and math.isfinite(value))
    return value if exact else f"{type(value).__name__} {value}"


_FORMS: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    (enum.Enum, lambda value: f"{type(value).__name__}.{value.name}"),
    (str, lambda value: _ADDRESS.sub("0x", str(value))),
    ((int, float), _number),
    ((set, frozenset), lambda value: {"set": sorted(map(repr, value))}),
    (list, lambda value: [plain(item) for item in value]),
    (tuple, lambda value: {type(value).__name__: [plain(item) for item in value]}),
    (Mapping, lambda value: {str(k): plain(v) for k, v in value.items()}),
    (type, lambda value: f"class {value.__name__}"),
)


class Echo:
    """Stands in for every `dspy.LM`: deterministic answers, every request kept.

    Args:
        answers: What is said for a field; a tuple is said in turn.
    """

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self.answers = answers
        self.requests: list[Any] = []
        self.turns: dict[str, int] = {}

    def answer(self, lm: Any, prompt: Any, messages: Any, kwargs: Any) -> list[str]:
        """The LM's texts for a request, one for each generation asked for."""
        request = self._request(lm, prompt, messages, kwargs)
        self.requests.append(request)
        digest = hashlib.sha256(json.dumps(request).encode()).hexdigest()[:8]
        text = str((messages or [{"content": prompt}])[-1]["content"])
        number = int(request["kwargs"].get("n") or 1)
        return [self._text(text, f"{digest}{i or ''}") for i in range(number)]

    @staticmethod
    def _request(lm: Any, prompt: Any, messages: Any, kwargs: Any) -> dict[str, Any]:
        merged = {**lm.kwargs, **kwargs}
        return {
            "lm": [type(lm).__name__, lm.model, lm.model_type, lm.num_retries],
            "cache": lm.cache,
            "kwargs": {k: plain(v) for k, v in merged.items() if k != "api_key"},
            "prompt": plain(prompt),
            "messages": plain(messages),
        }

    def _text(self, text: str, digest: str) -> str:
        _, said, wanted = text.rpartition("Respond with")
        if not said:
            return f"text {digest}"
        for pattern, form in ((_CHAT_FIELD, _chat), (_XML_FIELD, _xml)):
            names = [name for name in pattern.findall(wanted) if name != "completed"]
            if names:
                return form({name: self._value(name, digest) for name in names})
        names = _JSON_FIELD.findall(wanted)
        return json.dumps({name: self._value(name, digest) for name in names})

    def _value(self, name: str, digest: str) -> Any:
        if name not in self.answers:
            return f"{name} {digest}"
        said = self.answers[name]
        if not isinstance(said, tuple):
            return said
        turn = self.turns[name] = self.turns.get(name, -1) + 1
        return said[turn % len(said)]


def _spelled(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _chat(fields: Mapping[str, Any]) -> str:
    parts = [f"[[ ## {name} ## ]]\n{_spelled(v)}" for name, v in fields.items()]
    return "\n\n".join([*parts, "[[ ## completed ## ]]"])


def _xml(fields: Mapping[str, Any]) -> str:
    return "\n".join(f"<{n}>{_spelled(v)}</{n}>" for n, v in fields.items())


def passages(query: str, k: int, **_kwargs: Any) -> list[Any]:
    """The retrieval model that DSPy's settings hold."""
    return [SimpleNamespace(long_text=f"{text} {query}") for text in CORPUS[:k]]


@contextmanager
def answering(echo: Echo) -> Iterator[None]:
    """Lets the echo answer for every `dspy.LM` there is."""
    import dspy  # noqa: PLC0415

    def call(
        lm: Any, prompt: Any = None, *, messages: Any = None, **kwargs: Any
    ) -> Any:
        return echo.answer(lm, prompt, messages, kwargs)

    async def acall(lm: Any, prompt: Any = None, **kwargs: Any) -> Any:
        return call(lm, prompt, **kwargs)

    before = dspy.LM.__call__, dspy.LM.acall
    dspy.LM.__call__, dspy.LM.acall = call, acall
    try:
        task = dspy.LM("openai/task-model", temperature=0.0, max_tokens=99)
        with dspy.context(lm=task, rm=passages, trace=[]):
            yield
    finally:
        dspy.LM.__call__, dspy.LM.acall = before


def ask(program: Any, case: Any) -> dict[str, Any]:
    """Every request that the program makes for the case's calls, and its outputs."""
    outputs = []
    echo = Echo(case.answers)
    with answering(echo):
        for inputs in case.asks:
            echo.turns.clear()
            if hasattr(program, "aforward") and not hasattr(program, "forward"):
                output = asyncio.run(program.acall(**inputs))
            else:
                output = program(**inputs)
            outputs.append(plain(getattr(output, "_store", output)))
    return {"requests": echo.requests, "outputs": outputs}


def learn(program: Any) -> Any:
    """The program as an optimizer leaves it: instructions and a demo are its own."""
    import dspy  # noqa: PLC0415

    seen = []
    for predictor in program.predictors():
        if any(predictor is other for other in seen):
            continue
        seen.append(predictor)
        signature = predictor.signature
        text = f"{signature.instructions}\nReply as a señor ☃."
        predictor.signature = signature.with_instructions(text)
        names = [n for n, f in signature.fields.items() if f.annotation is str]
        predictor.demos = [
            *predictor.demos,
            dspy.Example({name: f"a demo's {name}" for name in names}),
        ]
    return program


class Warnings(logging.Handler):
    """Keeps the warnings of the package."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one."""
        self.texts.append(record.getMessage())


def _is_ours(error: BaseException) -> bool:
    return type(error).__module__ == "po_optimizer.errors"


def attempt(step: str, action: Callable[[], Any]) -> Any:
    """What the action gives, or how it ended as a mapping with `status`."""
    try:
        return action()
    except BaseException as error:  # noqa: BLE001 a test tells of all
        chain, link = [], error
        while link is not None and link not in chain:
            chain.append(link)
            link = link.__cause__ or link.__context__
        ours = next((e for e in chain if _is_ours(e)), None)
        if ours is not None:
            return {"status": "refused", "step": step, "why": str(ours)}
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(last.filename).name}:{last.lineno}"
        text = " ".join(str(error).split())
        why = f"{type(error).__name__}: {text:.300} ({where})"
        return {"status": "crash", "step": step, "why": why}


def failed(result: Any) -> bool:
    """True for how an attempt ended when it ended badly."""
    return isinstance(result, dict) and result.get("status") in ("refused", "crash")


def cases_of(package: str) -> dict[str, tuple[str, Any]]:
    """Every case by name, with its module's name."""
    themes = importlib.import_module(package).THEMES
    found: dict[str, tuple[str, Any]] = {}
    for theme in themes:
        module = importlib.import_module(f"{package}.{theme}")
        for name, case in module.CASES.items():
            found[f"{theme}: {name}"] = (module.__name__, case)
    return found


def move(init: str, package: str) -> None:
    """Make a package's files importable under another name."""
    spec = importlib.util.spec_from_file_location(
        package, init, submodule_search_locations=[str(Path(init).parent)]
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[package] = module
    spec.loader.exec_module(module)


def author(order: Order, name: str, case: Any, path: Path) -> dict[str, Any]:
    """Save the program, then ask it: what is expected of the loaded one."""
    from po_optimizer.persistence import save_program  # noqa: PLC0415

    def fresh() -> Any:
        program = case.make()
        return learn(program) if case.learned else program

    expected = attempt("ask the original", lambda: ask(fresh(), case))
    program = fresh()
    options = {"dill": "write", "verify": order["verify"]}
    saved = attempt("save", lambda: save_program(program, path, **options))
    after = attempt("ask the saved one", lambda: ask(program, case))
    return {
        "expected": expected,
        "stays": after == {**expected, **_step(after)},
        "saved": saved if failed(saved) else None,
        "leaks": [
            file.name
            for file in path.parent.glob(f"{path.stem}*")
            if b"canary" in file.read_bytes()
        ],
    }


def _step(ended: dict[str, Any]) -> dict[str, Any]:
    return {"step": ended["step"]} if "step" in ended else {}


def class_paths(node: Any) -> Iterator[str]:
    """Every import path of a module's class in a document."""
    if isinstance(node, dict):
        if node.get("$") == "module":
            yield node["class"]
        for value in node.values():
            yield from class_paths(value)
    elif isinstance(node, list):
        for value in node:
            yield from class_paths(value)


def load_options(column: str, case: Any, path: Path, package: str) -> dict[str, Any]:
    """How the program is loaded in a column of the table."""
    options: dict[str, Any] = {}
    if "stranger" not in column:
        options["allowed_packages"] = [package]
    if column == "exact":
        paths = set(class_paths(json.loads(path.read_bytes())))
        exact = [p for p in sorted(paths) if p.startswith(package)]
        options["allowed_packages"] = [package, *exact]
        if case.lms is not None:
            options["lms"] = case.lms()
    if "donor" in column:
        options["program"] = (case.donor or case.make)()
    return options


def second_generation(path: Path, options: dict[str, Any]) -> Any:
    """The file of the program that was loaded without a donor and saved again."""
    from po_optimizer.persistence import (  # noqa: PLC0415
        load_program_from_components,
        save_program,
    )

    alone = {k: v for k, v in options.items() if k != "program"}
    again = path.with_suffix(".again.json")
    program = attempt("load", lambda: load_program_from_components(path, **alone))
    if failed(program):
        return program
    options = {"dill": "off", "verify": "inline"}
    saved = attempt("save again", lambda: save_program(program, again, **options))
    return saved if failed(saved) else again


def reader(column: str, case: Any, path: Path, package: str) -> dict[str, Any]:
    """Load the program as the column says, and ask it."""
    from po_optimizer.persistence import load_program_from_components  # noqa: PLC0415

    handler = Warnings()
    logger = logging.getLogger("po_optimizer")
    logger.addHandler(handler)
    try:
        options = load_options(column, case, path, package)
        possible = inspect.signature(load_program_from_components).parameters
        options = {k: v for k, v in options.items() if k in possible}
        if "again" in column:
            path = second_generation(path, options)
        load = lambda: load_program_from_components(path, **options)  # noqa: E731
        program = path if failed(path) else attempt("load", load)
        asked = (
            program if failed(program) else attempt("call", lambda: ask(program, case))
        )
    finally:
        logger.removeHandler(handler)
    return {
        "warnings": handler.texts,
        **({} if failed(asked) else {"status": "answered"}),
        **asked,
    }


def main() -> None:
    """Do what the order says."""
    order: Order = json.load(sys.stdin)
    sys.path[:0] = order["sys_path"]
    logging.disable(logging.NOTSET)
    for noisy in ("dspy", "LiteLLM"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    with redirect_stdout(sys.stderr):
        results = dict(_results(order))
    json.dump(results, sys.stdout)


def _results(order: Order) -> Iterator[tuple[str, Any]]:
    package = order["package"]
    if "move" in order:
        assert importlib.util.find_spec("tests") is None
        move(order["move"], package)
    for number, (name, (_, case)) in enumerate(cases_of(package).items()):
        if order["only"] and order["only"] not in name:
            continue
        path = Path(order["folder"]) / f"{number}.json"
        if order["columns"] is None:
            yield name, author(order, name, case, path)
        elif path.exists():
            yield name, {c: reader(c, case, path, package) for c in order["columns"]}


if __name__ == "__main__":
    main()
