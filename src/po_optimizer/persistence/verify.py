"""Reading back what was written, in a fresh process.

The process imports what this one imports. It first decodes the document from the disk
without the defining module and renders every prompt, then imports the module, where
it can, and calls the program with a scripted LM, then unpickles the snapshot.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import dspy

from po_optimizer.errors import SettingError
from po_optimizer.persistence import format as fmt
from po_optimizer.persistence import snapshot
from po_optimizer.persistence.codec.imports import DATA_PACKAGES, Imports
from po_optimizer.persistence.codec.values import FAILURES, Decoder, Encoder
from po_optimizer.persistence.components import (
    inspect_program,
    program_of,
)
from po_optimizer.persistence.prompts import prompt_hashes
from po_optimizer.persistence.scripted_call import (
    Call,
    Outcome,
    difference_of,
)

_TIMEOUT_SECONDS = 300.0
_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop()); "
    "from po_optimizer.persistence.verify import main; main()"
)
CallData = dict[str, Any]
"""Scripted calls as data: inputs, the packages they need and the expected outcomes."""


class Findings(NamedTuple):
    """What reading back showed.

    Attributes:
        problem: Why the document must not be published; None when it may.
        snapshot_problem: Why the snapshot must not; None when it may or there is none.
        not_compared: Why the call could not be compared; None when it was.
    """

    problem: str | None = None
    snapshot_problem: str | None = None
    not_compared: str | None = None


class Verifier:
    """A fresh process that starts at once and waits for the files to read back.

    Starting it before the program is encoded hides most of its import of DSPy.

    Raises:
        SettingError: Python does not know its own executable.
    """

    def __init__(self) -> None:
        if not sys.executable:
            raise SettingError(
                "verify",
                "process",
                "sys.executable is empty here, so no process can be started",
                "Save with verify='inline'.",
            )
        paths = [str(Path(entry).absolute()) for entry in sys.path]
        self._process = subprocess.Popen(  # noqa: S603 our own interpreter
            [sys.executable, "-I", "-c", _BOOT, json.dumps(paths)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
            text=True,
        )

    def read_back(
        self,
        document: Path,
        expected: dict[str, str],
        snapshot_file: Path | None,
        calls: CallData | None = None,
    ) -> Findings:
        """What the process finds in the files, compared with what is expected."""
        order = {
            "document": str(document),
            "snapshot": str(snapshot_file) if snapshot_file else None,
            "calls": calls,
        }
        try:
            out, err = self._process.communicate(json.dumps(order), _TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self.close()
            return Findings(f"reading back took over {_TIMEOUT_SECONDS:g} seconds.")
        answers = _answers(out)
        reason = (err.strip().splitlines() or ["no message"])[-1]
        if "prompts" not in answers:
            return Findings(f"it could not be read back ({reason}).")
        problem = _differences(answers["prompts"], expected)
        if problem:
            return Findings(problem)
        differs = answers.get("calls", f"the fresh process ended ({reason})")
        if snapshot_file is None:
            return Findings(not_compared=differs)
        if "snapshot" not in answers:
            why = f"it does not load in a fresh process ({reason})"
            return Findings(None, why, differs)
        return Findings(None, _differences(answers["snapshot"], expected), differs)

    def close(self) -> None:
        """End the process; harmless when it has ended."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()


def _answers(out: str) -> dict[str, Any]:
    answers: dict[str, Any] = {}
    for line in out.splitlines():
        if line.startswith('{"po_optimizer": '):
            answers.update(json.loads(line)["po_optimizer"])
    return answers


def read_back_inline(
    document: Path, expected: dict[str, str], snapshot_file: Path | None
) -> Findings:
    """The same in this process: faster, but classes in its memory are at hand."""
    problem = _differences(_prompts_of(document), expected)
    if problem or snapshot_file is None:
        return Findings(problem)
    try:
        prompts = prompt_hashes(snapshot.loads(snapshot_file.read_bytes()))
    except snapshot.CANNOT_PICKLE as error:
        return Findings(None, f"it does not load ({type(error).__name__}: {error})")
    return Findings(None, _differences(prompts, expected))


def _prompts_of(document: Path) -> dict[str, str]:
    return prompt_hashes(inspect_program(document.read_bytes(), str(document)))


def _differences(prompts: dict[str, str], expected: dict[str, str]) -> str | None:
    paths = {*prompts, *expected}
    changed = sorted(p for p in paths if prompts.get(p) != expected.get(p))
    if not changed:
        return None
    return f"read back, these predictors render other prompts: {', '.join(changed)}."


def prepare_calls(
    program: dspy.Module, calls: list[Call], classes: Iterable[str]
) -> CallData:
    """Calls as data for a fresh process, which imports the classes at these paths."""
    path = f"{type(program).__module__}:{type(program).__qualname__}"
    if path.startswith("__main__:") or "<locals>" in path:
        msg = f"{path} cannot be imported by another process"
        raise ValueError(msg)
    modules = {name.partition(":")[0] for name in classes}
    encoder = Encoder(rescue=True)
    inputs = encoder.encode([dict(call.inputs) for call in calls], "probes")
    if any(entry["kind"] != "class code" for entry in encoder.not_stored):
        raise ValueError("its inputs are no data")
    return {
        "inputs": inputs,
        "types": encoder.types,
        "packages": sorted({m.partition(".")[0] for m in modules} - {*DATA_PACKAGES}),
        "outcomes": [[c.outcome.requests, c.outcome.result] for c in calls],
    }


def _compare_calls(path: Path, data: CallData | None) -> str | None:
    if data is None:
        return None
    document, packages = fmt.parse(path.read_bytes(), str(path)), data["packages"]
    try:
        loaded = program_of(document, "staged", None, packages)
        inputs = Decoder(Imports(packages), data["types"]).decode(data["inputs"])
        outcomes = [Outcome(tuple(asked), result) for asked, result in data["outcomes"]]
        difference = difference_of(loaded, list(map(Call, inputs, outcomes)))
    except FAILURES as error:
        difference = f"{type(error).__name__}: {error!s:.200}"
    return difference and f"in a fresh process, {difference}"


def main() -> None:
    """The process's side: answer with one line for each part that could be read.

    A snapshot that fails may do so in any way; the process then ends without its
    line, and its last line of error output is the reason.
    """
    order: dict[str, Any] = json.loads(sys.stdin.read())
    document = Path(order["document"])
    _answer(prompts=_prompts_of(document))
    _answer(calls=_compare_calls(document, order["calls"]))
    if order["snapshot"] is not None:
        loaded = snapshot.loads(Path(order["snapshot"]).read_bytes())
        _answer(snapshot=prompt_hashes(loaded))


def _answer(**answers: Any) -> None:
    sys.stdout.write("\n" + json.dumps({"po_optimizer": answers}) + "\n")
    sys.stdout.flush()
