"""The errors that somebody catches or whose exit code differs, and words for all.

The sentence stands where an error is raised: it names the setting and its value, what
is allowed, and what to do. It never contains a secret. `console.messages` prints it
without a traceback.
"""

import copyreg
import difflib
import errno
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import ValidationError


class PoOptimizerError(Exception):
    """Base of all errors that are shown to the user as one sentence."""

    exit_code: int = 1

    def __reduce__(self) -> tuple[Any, ...]:
        """Rebuilt elsewhere as it is: the constructors do not take the sentence."""
        arguments = (type(self), *self.args)
        return copyreg.__newobj__, arguments, self.__dict__  # type: ignore[attr-defined]

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows; if this raises, IPython shows the traceback."""
        if os.environ.get("PO_TRACEBACK"):
            raise NotImplementedError
        return [f"Error: {self}"]


class SettingError(PoOptimizerError):
    """A setting has a value that cannot work."""

    def __init__(self, setting: str, value: object, allowed: str, remedy: str) -> None:
        super().__init__(f"{setting}={value!r} cannot be used: {allowed}. {remedy}")
        self.setting = setting


@contextmanager
def needs_extra(extra: str, needed_for: str) -> Iterator[None]:
    """Names the extra of this package that a failed import in the block needs.

    Raises:
        PoOptimizerError: A package is not there.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        msg = (
            f"{needed_for} needs the extra {extra} ({error.name} is not installed). "
            f"Install it: pip install 'po-optimizer[{extra}]'"
        )
        raise PoOptimizerError(msg) from error


class ExecutionStopError(PoOptimizerError):
    """A run ended early and in order; what is done is stored."""

    exit_code = 3


class InterruptedRunError(PoOptimizerError):
    """Ctrl-C ended the run; every answer so far is kept."""

    exit_code = 130  # what a shell reports for Ctrl-C


class DocumentError(PoOptimizerError, ValueError):
    """A document from outside (requirements, vision, review) cannot be read.

    A ValueError too, so that pydantic takes it as the finding of a validator.
    """

    def __init__(
        self,
        document: str,
        problem: str,
        line: int | None = None,
        column: int | None = None,
    ) -> None:
        where = "" if line is None else f" at line {line}, column {column}"
        super().__init__(f"{document} cannot be read{where}: {problem}")
        self.line = line
        self.column = column


class BelowBoundError(PoOptimizerError):
    """A measured value is not within the bound that the configuration sets."""

    exit_code = 4


class PreflightError(PoOptimizerError):
    """The optimization cannot succeed as it is configured.

    Attributes:
        report: The PreflightReport with every check, passed ones too.
    """

    def __init__(self, failures: Iterable[str], report: object) -> None:
        failures = list(failures)
        lines = "".join(f"\n- {failure}" for failure in failures)
        super().__init__(
            f"the preflight found {len(failures)} setting(s) that cannot work; nothing "
            f"was started:{lines}"
        )
        self.report = report


class MetricError(PoOptimizerError):
    """The metric gave no score in [0, 1]."""

    def __init__(self, problem: str) -> None:
        super().__init__(
            f"{problem}. Correct role.metric so that every prediction, empty "
            "ones too, gets a number in [0, 1]; LM answers so far are kept."
        )


class ArtifactError(PoOptimizerError):
    """Base of all errors about stored programs."""


class NotStorableError(ArtifactError):
    """A part of the program that shapes its prompts cannot be written as data."""

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(
            f"{where} cannot be stored: {problem}. Demos, signatures and configs are "
            "stored as values, enums, dataclasses and pydantic models: replace it."
        )
        self.where = where


class SaveError(ArtifactError):
    """A program was not saved, or the disk did not confirm that it was."""

    def __init__(
        self, path: str, problem: str, rescue: str = "", *, in_place: bool = False
    ) -> None:
        state = (
            "It is in place, but may be lost if the machine stops now: save it again."
            if in_place
            else "What was stored there before is untouched."
        )
        super().__init__(
            f"path={path!r}: the program was not saved: {problem.rstrip('.')}. "
            f"{state} {rescue}"
        )
        self.problem = problem


class OtherProgramError(ArtifactError):
    """The program that was given to load with is not of the class that was saved."""


class DamagedArtifactError(ArtifactError):
    """A stored document is not what was saved."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(
            f"path={path!r} is not a program as it was saved: {problem}. "
            "Load another version of it or save the program again."
        )


class NotStoredError(BaseException):
    """Code or a live object that the document only names was used.

    No Exception: DSPy's modules and many programs answer something whatever fails,
    and would answer something else in silence.
    """

    def __init__(self, where: str, what: str) -> None:
        super().__init__(
            f"{where} ({what}) is code or a live object, which a document cannot "
            "hold. Load with program=..., a new program of the same class, or "
            "lms={...} for an LM."
        )


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error, what it was raised from, and so on."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def listed(names: Iterable[str], limit: int = 10) -> str:
    """Names as they stand in an error: comma-separated, cut after `limit`."""
    texts = [str(name) for name in names]
    more = f" and {len(texts) - limit} more" if len(texts) > limit else ""
    return ", ".join(texts[:limit]) + more


_LONGEST_NAME = 60  # characters; what is longer is no misspelt name


def nearest(word: object, choices: Iterable[str], likeness: float = 0.6) -> str:
    """The known name that was probably meant, as a question in brackets; "": none.

    Args:
        word: What was written.
        choices: What there is.
        likeness: The least share of letters in common, in [0, 1].
    """
    text = str(word)[:_LONGEST_NAME]
    names = {name.casefold(): name for name in choices}
    likely = difflib.get_close_matches(text.casefold(), names, n=1, cutoff=likeness)
    return f" (did you mean {names[likely[0]]}?)" if likely else ""


_REMEDIES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "make room"),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "raise `ulimit -n`"),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "make it writable"),
    **dict.fromkeys(
        (errno.ENOTDIR, errno.EEXIST, errno.EISDIR), "move away what is in the way of "
    ),
}


def refusal(error: OSError) -> str:
    """What the disk says and what to do about it, as the clause of a sentence."""
    problem, remedy = error.strerror or str(error), _REMEDIES.get(error.errno or 0)
    if remedy is None:
        return problem
    name = (error.filename or "it") if remedy.endswith(" ") else ""
    return f"{problem}: {remedy}{name}"


def field_problems(error: ValidationError) -> list[str]:
    """What a validation found, one `path.to[2].field: problem` each, in its order."""
    problems = []
    for detail in error.errors(include_url=False):
        path = "".join(
            f"[{step}]" if isinstance(step, int) else f".{step}"
            for step in detail["loc"]
        ).lstrip(".")
        problem = detail["msg"].removeprefix("Value error, ")
        if detail["type"] == "literal_error":
            choices = re.findall(r"'(.*?)'", problem)
            problem += nearest(detail["input"], choices)
        problems.append(f"{path}: {problem}" if path else problem)
    return problems
