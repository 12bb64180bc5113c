"""Opens hostile documents in a process of its own and notes whatever acts.

Run as a module: an order as JSON on the standard input, a JSON object on the
standard output. Each document is opened in a fork of its own, bounded in time and
memory, in every way there is; hooks of the interpreter see what it does.
"""

import base64
import contextlib
import copy
import dis
import importlib
import json
import logging
import os
import pickle
import re
import resource
import signal
import socket
import subprocess
import sys
import types
import zoneinfo
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.persistence import bait, mutations
from tests.persistence.mutations import BAIT, Mutator

CPU_SECONDS = 10
EXTRA_BYTES = 2**30
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_ACTING = (
    *("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.remove"),
    *("os.rename", "os.mkdir", "os.rmdir", "os.truncate", "os.chmod", "os.chown"),
    *("os.link", "os.symlink", "os.putenv", "os.kill", "subprocess.Popen", "shutil."),
    *("tempfile.", "socket.", "ctypes.", "pickle.find_class", "marshal.loads", "mmap."),
    *("urllib.", "http.", "ftplib.", "smtplib.", "webbrowser.", "builtins.input"),
    *("builtins.breakpoint", "code.__new__", "sqlite3.connect", "sys.addaudithook"),
    *("sys.setprofile", "sys.settrace", "import", "function.__new__", "signal."),
)
_GENERATORS = ("dataclasses.py", "collections/__init__.py", "typing_extensions.py")
"""Files of libraries that make classes by executing text of their own."""
_NAMING = re.compile(r"^\s*[\w.]*\s*$")

HITS: list[str] = []
_armed = False


def _watch(event: str, args: tuple[Any, ...]) -> None:
    global _armed  # noqa: PLW0603 an audit hook cannot be taken away
    if not _armed:
        return
    _armed = False
    try:
        if _acts(event, args):
            HITS.append(f"{event} {args!r:.200}")
    finally:
        _armed = True


def _acts(event: str, args: tuple[Any, ...]) -> bool:
    if event == "open":
        flags = args[2] if isinstance(args[2], int) else 0
        return bool(flags & _WRITING) or (args[1] or "r")[:1] in ("w", "a", "x")
    if event == "compile":
        return not _caller().endswith("/ast.py") and _runs_text(args[0])
    if event == "exec":
        return _runs_code(args[0])
    return event.startswith(_ACTING)


def _caller() -> str:
    frame = sys._getframe(1)
    while frame.f_code.co_filename == __file__:
        frame = frame.f_back
    return frame.f_code.co_filename


def _runs_text(source: Any) -> bool:
    text = source.decode(errors="replace") if isinstance(source, bytes) else source
    if not isinstance(text, str) or "zcanary" in text:
        return True  # a syntax tree, or the canary
    return not (_caller().endswith(_GENERATORS) or _NAMING.match(text))


def _runs_code(code: Any) -> bool:
    if _caller().endswith(_GENERATORS):
        return "zcanary" in repr((code.co_names, code.co_consts))
    return any(step.opname.startswith("CALL") for step in dis.get_instructions(code))


def ways(path: Path) -> dict[str, Callable[[], Any]]:
    """Every way in which a document is opened, those of a library first."""
    from po_optimizer.console.show import describe_program  # noqa: PLC0415
    from po_optimizer.datasets.dspy_program_dataset import (  # noqa: PLC0415
        DSPyProgramDataset,
    )
    from po_optimizer.persistence import load_program  # noqa: PLC0415

    dataset = DSPyProgramDataset(filepath=str(path), dill="off")
    trusting = DSPyProgramDataset(
        filepath=str(path), dill="off", allowed_packages=[BAIT]
    )
    return {
        "load, package allowed": lambda: load_program(path, allowed_packages=[BAIT]),
        "load": lambda: load_program(path),
        "dataset": dataset.load,
        "dataset, package allowed": trusting.load,
        "preview": dataset.preview,
        "show": lambda: describe_program(path),
    }


def open_all(path: Path, turn: int | None = None) -> Iterator[tuple[str, str]]:
    """How each way ended: loaded, refused, or what else was raised.

    Args:
        path: The document.
        turn: Which of the other ways follows the first one; None for all.
    """
    from kedro.io.core import DatasetError  # noqa: PLC0415

    every = list(ways(path).items())
    if turn is not None:
        every = [every[0], every[1 + turn % (len(every) - 1)]]
    for way, action in every:
        try:
            action()
        except BaseException as error:  # noqa: BLE001 a test tells of all
            cause = error.__cause__ if isinstance(error, DatasetError) else error
            ours = type(cause).__module__ == "po_optimizer.errors"
            yield way, "refused" if ours else f"crash {error!r:.300} {cause!r:.300}"
        else:
            yield way, "loaded"


def watched(path: Path, turn: int | None) -> dict[str, Any]:
    """What opening the document did, in this process."""
    global _armed  # noqa: PLW0603 an audit hook cannot be taken away
    endings, acts = {}, []
    opened = open_all(path, turn)
    while True:
        HITS.clear()
        bait.PULLED.clear()
        _limit_time()
        _armed = True
        try:
            way, ending = next(opened, ("", ""))
        finally:
            _armed = False
        if not way:
            return {"endings": endings, "acts": acts}
        endings[way] = ending
        acts += [f"{way}: {hit}" for hit in (*HITS, *bait.PULLED)]


def booby_trap(path: str, honest: set[types.CodeType]) -> None:
    """Make the function or constructor at a path note that it was called."""
    module, _, name = path.partition(":")
    target: Any = sys.modules.get(module)
    for part in name.split("."):
        target = getattr(target, part, None)
    kind = target if isinstance(target, type) else None
    function = vars(kind).get("__init__") if kind else target
    function = getattr(function, "__func__", function)
    if not isinstance(function, types.FunctionType) or module == BAIT:
        return
    if function.__code__ in honest:
        return
    source = (
        "def trap(*args, **kwargs):\n"
        f"    __import__('sys').modules['watching'].HITS.append({'called ' + path!r})\n"
    )
    made: dict[str, Any] = {}
    exec(source, made)  # noqa: S102 our own text
    if kind is not None:
        kind.__init__ = made["trap"]
    elif not function.__code__.co_freevars:
        function.__code__ = made["trap"].__code__
        function.__defaults__ = function.__kwdefaults__ = None


def bounded(
    path: Path, replaced: list[str], honest: set[types.CodeType], turn: int | None
) -> dict[str, Any]:
    """What opening the document did, in a fork that is bounded in time and memory."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        _limit()
        with contextlib.suppress(BaseException):
            for target in replaced:
                booby_trap(target, honest)
            result = watched(path, turn)
            before = resource.getrusage(resource.RUSAGE_SELF)
            result["cpu"] = round(before.ru_utime + before.ru_stime, 2)
            os.write(writing, json.dumps(result).encode()[:60_000])
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        data = stream.read()
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status) or not data:
        name = signal.Signals(os.WTERMSIG(status)).name if status else "nothing said"
        return {"endings": {"all": f"crash died of {name}"}, "acts": [], "cpu": 0.0}
    return json.loads(data)


def _limit() -> None:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    size = pages * resource.getpagesize() + EXTRA_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _limit_time() -> None:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    end = int(usage.ru_utime + usage.ru_stime) + CPU_SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (end, resource.RLIM_INFINITY))


def honest_code(paths: list[Path]) -> set[types.CodeType]:
    """The code that runs when honest documents are opened, and damaged ones."""
    codes: set[types.CodeType] = set()

    def note(frame: Any, event: str, _arg: Any) -> None:
        if event == "call":
            codes.add(frame.f_code)

    sys.setprofile(note)
    try:
        for path in paths:
            list(open_all(path))
    finally:
        sys.setprofile(None)
    return codes


def proofs(folder: Path) -> dict[str, Callable[[], Any]]:
    """Acts that the hooks must see: a watch that sees nothing proves nothing."""
    sys.modules.pop("this", None)
    return {
        "os.system": lambda: os.system("true"),  # noqa: S605, S607 harmless
        "process": lambda: subprocess.run(["true"], check=True),  # noqa: S607
        "open for writing": lambda: (folder / "damaged" / "x").write_text("x"),
        "socket": lambda: socket.create_connection(("127.0.0.1", 9), 0.1),
        "import": lambda: importlib.import_module("this"),
        "eval": lambda: eval("print()"),  # noqa: S307 harmless
        "exec": lambda: exec("len([1])"),  # noqa: S102 harmless
        "pickle": lambda: pickle.loads(base64.b64decode(mutations.PICKLE)),  # noqa: S301
        "removal": (folder / "damaged" / "x").unlink,
    }


def _seen(act: Callable[[], Any]) -> bool:
    global _armed  # noqa: PLW0603 an audit hook cannot be taken away
    HITS.clear()
    _armed = True
    with contextlib.suppress(OSError):
        act()
    _armed = False
    return bool(HITS)


def _documents(order: dict[str, Any], seeds: dict[str, Any]) -> Iterator[Any]:
    """(group, what was done, document, paths in it, turn) of every hostile document."""
    plain = {1: mutations.first_version(), 2: seeds["plain"]}
    for number, honest in plain.items():
        for group in ("attacks", "bombs"):
            for turn, (name, change) in enumerate(getattr(mutations, group)().items()):
                if group in order["groups"]:
                    document = copy.deepcopy(honest)
                    change(document)
                    done = f"{name}, version {number}"
                    ways = None if group == "attacks" else turn
                    yield group, done, document, [mutations.IMAGE], ways
    mutate = Mutator(seeds, order["seed"])
    if order["each"]:
        for done, document, path in mutate.each():
            yield "references", done, document, [path], 0
    for turn in range(order["count"]):
        done, document = mutate()
        yield "mutations", done, document, mutate.replaced, turn


def _report(order: dict[str, Any]) -> dict[str, Any]:
    from po_optimizer.persistence import format as fmt  # noqa: PLC0415

    folder = Path(order["folder"])
    paths = sorted(folder.glob("*.json"))
    seeds = {path.stem: json.loads(path.read_bytes()) for path in paths}
    (folder / "damaged").mkdir()
    damaged = folder / "damaged" / "d.json"
    damaged.write_bytes(paths[0].read_bytes().replace(b"Predict", b"Predicx"))
    endings = {path.stem: dict(open_all(path)) for path in paths}
    honest = honest_code([*paths, damaged])
    zoneinfo.available_timezones()  # imports Python's own data package, of a fixed name
    sys.addaudithook(_watch)
    target = folder / "damaged" / "hostile.json"
    report: dict[str, Any] = {"opened": 0, "endings": {}, "acts": [], "crashes": []}
    report["most cpu"] = [0.0, ""]
    report["honest"] = endings
    report["proofs"] = {name: _seen(act) for name, act in proofs(folder).items()}
    for group, done, document, replaced, turn in _documents(order, seeds):
        target.write_bytes(fmt.file_bytes(fmt.seal(document)))
        result = bounded(target, replaced, honest, turn)
        report["opened"] += 1
        for way, ending in result["endings"].items():
            kind = ending.split()[0]
            report["endings"][kind] = report["endings"].get(kind, 0) + 1
            if kind == "crash":
                report["crashes"].append(f"{group}: {done} | {way}: {ending}")
        report["acts"] += [f"{group}: {done} | {act}" for act in result["acts"]]
        report["most cpu"] = max(report["most cpu"], [result["cpu"], done[:200]])
    return report


def main() -> None:
    """Open what the order says."""
    order = json.load(sys.stdin)
    logging.disable(logging.CRITICAL)
    sys.modules["watching"] = sys.modules["__main__"]
    with contextlib.redirect_stdout(sys.stderr):
        report = _report(order)
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()
