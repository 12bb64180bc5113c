"""Every error of the project; each class owns the sentence that the user reads.

An error names the setting and its value, what is allowed, and what to do. It
never contains a secret. Errors of the user's making print without a traceback
(`po_optimizer.hooks`).
"""

import difflib
import errno
import re
from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError


class Portable(BaseException):
    """An exception that arrives in another process as it was raised.

    Python would rebuild it by calling its class with the finished sentence, which
    is not what a constructor that makes the sentence takes.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        """The class, its finished arguments and its attributes."""
        return _rebuilt, (type(self), self.args), self.__dict__


def _rebuilt(cls: type[BaseException], args: tuple[Any, ...]) -> BaseException:
    return cls.__new__(cls, *args)


class PoOptimizerError(Portable, Exception):
    """Base of all errors that are shown to the user as one sentence."""

    exit_code: int = 1


class SettingError(PoOptimizerError):
    """A setting has a value that cannot work."""

    def __init__(self, setting: str, value: object, allowed: str, remedy: str) -> None:
        super().__init__(f"{setting}={value!r} cannot be used: {allowed}. {remedy}")
        self.setting = setting


class ImportPathError(SettingError):
    """An import path in the parameters does not name what it should."""

    def __init__(self, setting: str, path: str, problem: str) -> None:
        super().__init__(
            setting,
            path,
            problem,
            "Give the dotted path of something that Python can import, "
            "as package.module.Name.",
        )


class MissingPackageError(PoOptimizerError):
    """A package that the chosen configuration needs is not installed."""

    def __init__(self, package: str, needed_for: str) -> None:
        super().__init__(
            f"{needed_for} needs the package {package}, which is not installed. "
            f"Install it: pip install {package}"
        )


class WeightsError(SettingError):
    """The embedded LM's weights are missing, altered or cannot be fetched."""


class LMSetupError(SettingError):
    """The LM cannot be asked as it is configured; nothing was paid."""


class EmbeddedServerError(SettingError):
    """The embedded LM did not start."""


class DataError(SettingError):
    """The records cannot be used, or are too few for the splits."""


class UnknownParameterError(PoOptimizerError):
    """`--params` names what nothing reads; its value, maybe a secret, is not shown."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        every = sorted(known)
        super().__init__(
            f"--params {name}: nothing reads a parameter of this name"
            f"{nearest(name, every)}. There are {listed(every, 20)}."
        )


class NoConceptError(PoOptimizerError):
    """Nothing says what the product is."""

    def __init__(self) -> None:
        super().__init__(
            "concept=None: neither the requirements (meta.original_request) nor "
            "CONCEPT says what the product is. Write it into one of them, as in "
            'make po CONCEPT="A planner for repair cafes".'
        )


class NoProgramError(PoOptimizerError):
    """A stage needs the optimized program of an LM that has none."""

    def __init__(self, stage: str, slug: str) -> None:
        super().__init__(
            f"{stage}: no optimized program is stored for {slug}. "
            "Make one with the same --env: kedro run --pipeline=persist"
        )


class UnusableAnswerError(PoOptimizerError):
    """The LM's answer does not have the program's outputs; nothing was replaced."""

    def __init__(self, stage: str, slug: str) -> None:
        super().__init__(
            f"{stage}: the answer of {slug} could not be read as the program's "
            "outputs; the files that stood there are untouched. Raise lm.max_tokens, "
            "or choose an LM that answers in JSON (lm.structured_output)."
        )


class RefusedPromptError(PoOptimizerError):
    """The LM is there and refuses this prompt; nothing was replaced."""

    def __init__(self, stage: str, slug: str, problem: str) -> None:
        super().__init__(
            f"{stage}: {slug} refused the prompt: {problem}. The files that stood "
            "there are untouched. Shorten the documents, or choose an LM with a larger "
            "context window (lm.context_tokens)."
        )


class ExecutionStopError(PoOptimizerError):
    """A run ended early and in order; what is done is stored."""

    exit_code = 3


class InterruptedRunError(PoOptimizerError):
    """Ctrl-C ended the run; every answer so far is kept."""

    exit_code = 130  # what a shell reports for Ctrl-C


class EndedEarlyError(ExecutionStopError):
    """The optimization ended before its last trial; its best program is stored."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"the optimization ended early: {reason.rstrip('. ')}. The best program so "
            "far is stored as candidate_program: "
            "kedro run --from-nodes=persist.release_program_node releases it."
        )


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


class NothingScoredError(PoOptimizerError):
    """An evaluation in which the LM could not be asked about any example."""

    def __init__(self, which: str, n_examples: int, reason: str) -> None:
        super().__init__(
            f"evaluation of the {which} program: 0 of {n_examples} examples could be "
            f"scored, the first because of {reason}. Nothing was counted as 0.0; "
            "correct the lm parameters or the LM and run the same command again."
        )


class NothingToCompareError(PoOptimizerError):
    """No run has left a score report."""

    def __init__(self) -> None:
        super().__init__(
            "compare: no score report is stored below data/08_reporting. Make one for "
            "each LM: kedro run --pipeline=evaluate --env=<environment>"
        )


class UnpairedRecordsError(PoOptimizerError):
    """Predictions that do not answer the same examples."""

    def __init__(self, sizes: Iterable[int], difference: str) -> None:
        of = ("of the baseline", "of the optimized program", "examples in the testset")
        counts = ", ".join(f"{n} {what}" for n, what in zip(sizes, of, strict=False))
        super().__init__(
            f"the predictions cannot be paired: {counts}, {difference}. "
            "Both programs must answer the same testset in the same order: "
            "run the pipeline evaluate again."
        )


class BelowBoundError(PoOptimizerError):
    """A measured value is not within the bound that the configuration sets."""

    exit_code = 4

    def __init__(self, bound: str, allowed: float, measured: float | None) -> None:
        found = (
            "was not measured (nothing was scored, or every answer was cached)"
            if measured is None
            else f"is {measured:.4f}"
        )
        name = bound.rpartition(".")[2]
        super().__init__(
            f"{bound}={allowed:g} is not met: the {name} on the testset {found}. "
            "The report is written; relax the bound or improve the program."
        )
        self.bound = bound


class PreflightError(PoOptimizerError):
    """The optimization cannot succeed as it is configured.

    Attributes:
        report: The PreflightReport with every check, passed ones too.
    """

    def __init__(self, failures: Iterable[str], report: object) -> None:
        every = list(failures)
        lines = "".join(f"\n- {failure}" for failure in every)
        super().__init__(
            f"the preflight found {len(every)} setting(s) that cannot work; nothing "
            f"was started:{lines}"
        )
        self.report = report


class MetricError(PoOptimizerError):
    """The metric gave no score in [0, 1]."""

    def __init__(self, problem: str) -> None:
        super().__init__(
            f"{problem}. It is role.metric: correct it so that every prediction, empty "
            "ones too, gets a number in [0, 1]; LM answers so far are kept."
        )


class FloorStopError(PoOptimizerError):
    """The baseline evaluation shows that optimizing cannot succeed."""

    def __init__(self, found: str, reason: str, raw_output: str) -> None:
        super().__init__(
            f"{found}; an optimizer cannot tell candidates apart on that. One of the "
            f"outputs could not be used because: {reason}. It reads: {raw_output!r}. "
            "Correct the program, the metric or the LM "
            "(optimize.floor_stop=false goes on regardless)."
        )


class ChangedRunError(PoOptimizerError):
    """A stored run was made with other data, code or settings."""

    def __init__(self, journal: str, changes: Iterable[str]) -> None:
        super().__init__(
            f"the run in {journal} cannot be resumed: changed since are "
            f"{listed(changes)}. Undo the change, or start anew with "
            "--params optimize.on_change=restart (LM answers are kept)."
        )


class RunInUseError(PoOptimizerError):
    """Another process is at the same optimization."""

    def __init__(self, journal: str) -> None:
        super().__init__(
            f"the run in {journal} is being made by another process. Wait for its end, "
            "or give this one a folder of its own (another --env, or a sweep)."
        )


class OptimizerFailedError(PoOptimizerError):
    """DSPy's optimizer raised; the best program so far is stored."""

    def __init__(self, optimizer: str, problem: str) -> None:
        super().__init__(
            f"optimize.optimizer={optimizer!r} failed: {problem}. The best program so "
            "far and every LM answer are kept: correct the cause, then the same "
            "command resumes."
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


class DamagedArtifactError(ArtifactError):
    """A stored document is not what was saved."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(
            f"path={path!r} is not a program as it was saved: {problem}. "
            "Load another version of it or save the program again."
        )


class UnreadableArtifactError(ArtifactError):
    """Whether a program is stored there, and which, could not be seen."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(
            f"path={path!r} cannot be read: {problem}. That is not the same as "
            "nothing being stored: give access to it, or correct the path."
        )


class NewerFormatError(ArtifactError):
    """A document comes from a later version of this package."""

    def __init__(self, path: str, version: object, known: int) -> None:
        super().__init__(
            f"path={path!r} has format_version={version!r}; this version reads up to "
            f"{known}. Upgrade the package that reads it: pip install -U po-optimizer"
        )


class UnsafeArtifactError(ArtifactError):
    """A document names something that is not the kind of thing it should be."""

    def __init__(self, path: str, kind: str, found: str) -> None:
        super().__init__(
            f"the document names {path!r} as a {kind}, but it is {found}. Nothing was "
            "called. Do not load documents of unknown origin; save the program again."
        )


class PromptsChangedError(ArtifactError):
    """A loaded program renders other prompts than when it was saved."""

    def __init__(self, path: str, predictors: Iterable[str]) -> None:
        super().__init__(
            f"path={path!r}: these predictors render other prompts than when the "
            f"program was saved: {listed(predictors)}. A type in their signatures "
            "changed: restore that code, or pass program=... to accept the new prompts."
        )


class ProgramMismatchError(ArtifactError):
    """The program that was given does not have the stored one's predictors."""

    def __init__(self, given: Iterable[str], stored: Iterable[str]) -> None:
        super().__init__(
            f"program=... has the predictors {listed(given)}, the document has "
            f"{listed(stored)}. Give a program of the class that was saved."
        )


class LMMismatchError(ArtifactError):
    """The program that was given holds another LM than the stored one did."""

    def __init__(self, where: str, differences: Iterable[str]) -> None:
        super().__init__(
            f"{where} is another LM than in the stored program ({listed(differences)})."
            " Give a program with the LM that was saved, or name one with lms=..."
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


class NotCallableError(ArtifactError):
    """A program whose class could not be imported was called."""

    def __init__(self, path: str, predictors: Iterable[str]) -> None:
        super().__init__(
            f"the class {path!r} of this program was not imported, so how its "
            f"predictors ({listed(predictors)}) work together is unknown. Install its "
            "package and allow it with allowed_packages, or pass program=..."
        )


def listed(names: Iterable[str], limit: int = 10) -> str:
    """Names as they stand in an error: comma-separated, cut after `limit`."""
    every = [str(name) for name in names]
    shown = ", ".join(every[:limit])
    return shown + (f" and {len(every) - limit} more" if len(every) > limit else "")


_LONGEST_NAME = 60  # characters; what is longer is no misspelt name


def nearest(word: object, known: Iterable[str]) -> str:
    """The known name that was probably meant, as a question in brackets; "": none."""
    text = str(word)[:_LONGEST_NAME]
    names = {name.casefold(): name for name in known}
    found = difflib.get_close_matches(text.casefold(), names, n=1)
    return f" (did you mean {names[found[0]]}?)" if found else ""


def choice_problem(problem: str, value: object) -> str:
    """Pydantic's `Input should be 'a' or 'b'`, with the one that was probably meant."""
    choices = re.findall(r"'(.*?)'", problem)
    return f"{problem}{nearest(value, choices)}"


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
    wanted = (error.filename or "it") if remedy.endswith(" ") else ""
    return f"{problem}: {remedy}{wanted}"


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
            problem = choice_problem(problem, detail["input"])
        problems.append(f"{path}: {problem}" if path else problem)
    return problems
