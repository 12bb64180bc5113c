"""Every error of the project; each class owns the sentence that the user reads.

An error names the setting and its value, what is allowed, and what to do. It
never contains a secret. Errors of the user's making print without a traceback
(`po_optimizer.hooks`).
"""

from collections.abc import Iterable

from pydantic import ValidationError


class PoOptimizerError(Exception):
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


class EmbeddedServerError(SettingError):
    """The embedded LM did not start."""


class ExecutionStopError(PoOptimizerError):
    """A run ended early and in order; what is done is stored."""

    exit_code = 3


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


def listed(names: Iterable[str], limit: int = 10) -> str:
    """Names as they stand in an error: comma-separated, cut after `limit`."""
    every = [str(name) for name in names]
    shown = ", ".join(every[:limit])
    return shown + (f" and {len(every) - limit} more" if len(every) > limit else "")


def field_problems(error: ValidationError) -> list[str]:
    """What a validation found, one `path.to[2].field: problem` each, in its order."""
    problems = []
    for detail in error.errors(include_url=False, include_input=False):
        path = "".join(
            f"[{step}]" if isinstance(step, int) else f".{step}"
            for step in detail["loc"]
        ).lstrip(".")
        problem = detail["msg"].removeprefix("Value error, ")
        problems.append(f"{path}: {problem}" if path else problem)
    return problems
