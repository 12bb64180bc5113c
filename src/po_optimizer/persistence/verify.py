"""Reading back what was written, in a fresh process without the defining module.

The process imports DSPy only (`allowed_packages` is empty there), decodes the
document from the disk and renders every prompt. It then unpickles the snapshot, with
the program's own import path. It costs one start of Python and DSPy, about 1.5 s of
which the encoding overlaps the most.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from po_optimizer.persistence import snapshot
from po_optimizer.persistence.components import inspect_program
from po_optimizer.persistence.fingerprint import fingerprint

_TIMEOUT_SECONDS = 300.0
_BOOT = (
    "import sys; sys.path[:0] = [{root!r}]; "
    "from po_optimizer.persistence.verify import main; main()"
)
_KEPT = ("PATH", "HOME", "TMPDIR", "SYSTEMROOT", "USERPROFILE", "DSPY_CACHEDIR")


class Findings:
    """What reading back showed.

    Attributes:
        problem: Why the document must not be published; None when it may.
        snapshot_problem: Why the snapshot must not; None when it may or there is none.
    """

    def __init__(
        self, problem: str | None = None, snapshot_problem: str | None = None
    ) -> None:
        self.problem = problem
        self.snapshot_problem = snapshot_problem


class Verifier:
    """A process that starts at once and reads back when it is told what.

    Starting it before the program is encoded hides most of its import of DSPy.
    """

    def __init__(self) -> None:
        root = str(Path(__file__).parents[2])
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        self._process = subprocess.Popen(  # noqa: S603 our own interpreter
            [sys.executable, "-I", "-c", _BOOT.format(root=root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**kept, "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
            text=True,
        )

    def read_back(
        self, document: Path, expected: dict[str, str], snapshot_file: Path | None
    ) -> Findings:
        """What the process finds in the files, compared with what is expected."""
        order = {
            "document": str(document),
            "snapshot": str(snapshot_file) if snapshot_file else None,
            "sys_path": [str(Path(entry).absolute()) for entry in sys.path],
        }
        try:
            out, err = self._process.communicate(json.dumps(order), _TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self.close()
            return Findings(f"reading back took over {_TIMEOUT_SECONDS:g} seconds.")
        answers = [json.loads(line) for line in out.splitlines() if line[:1] == "{"]
        reason = (err.strip().splitlines() or ["no message"])[-1]
        if not answers:
            return Findings(f"it could not be read back ({reason}).")
        problem = _differences(answers[0], expected)
        if problem or snapshot_file is None:
            return Findings(problem)
        if len(answers) == 1:
            return Findings(None, f"it does not load in a fresh process ({reason})")
        return Findings(None, _differences(answers[1], expected))

    def close(self) -> None:
        """End the process; harmless when it has ended."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()


def read_back_inline(
    document: Path, expected: dict[str, str], snapshot_file: Path | None
) -> Findings:
    """The same in this process: faster, and blind to what only lives in its memory."""
    problem = _differences(_prompts_of(document), expected)
    if problem or snapshot_file is None:
        return Findings(problem)
    try:
        found = fingerprint(snapshot.loads(snapshot_file.read_bytes()))
    except snapshot.CANNOT_UNPICKLE as error:
        return Findings(None, f"it does not load ({type(error).__name__}: {error})")
    return Findings(None, _differences(found, expected))


def _prompts_of(document: Path) -> dict[str, str]:
    return fingerprint(inspect_program(document.read_bytes(), str(document)))


def _differences(found: dict[str, str], expected: dict[str, str]) -> str | None:
    changed = sorted(p for p in {*found, *expected} if found.get(p) != expected.get(p))
    if not changed:
        return None
    return f"read back, these predictors render other prompts: {', '.join(changed)}."


def main() -> None:
    """The process's side: answer with one line for each file that could be read.

    A snapshot that fails may do so in any way; the process then ends without its
    second line, and its last line of error output is the reason.
    """
    order: dict[str, Any] = json.loads(sys.stdin.read())
    _answer(_prompts_of(Path(order["document"])))
    if order["snapshot"] is not None:
        sys.path[:] = order["sys_path"]
        _answer(fingerprint(snapshot.loads(Path(order["snapshot"]).read_bytes())))


def _answer(prompts: dict[str, str]) -> None:
    sys.stdout.write(json.dumps(prompts) + "\n")
    sys.stdout.flush()
