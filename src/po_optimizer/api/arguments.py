"""What the arguments of `optimize` and `evaluate` may be, and what is made of them."""

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

import dspy
from pydantic import BaseModel, ValidationError

from po_optimizer.errors import PoOptimizerError, SettingError, field_problems
from po_optimizer.files import write_whole
from po_optimizer.lms.build import lm_of
from po_optimizer.lms.lm import MeteredLM
from po_optimizer.params.optimize import OptimizeParams

P = TypeVar("P", bound=BaseModel)

LM: TypeAlias = dspy.BaseLM | str
"""A `dspy.LM` (or any LM class of one's own), or a model string."""

Optimizer = Literal["miprov2", "gepa", "bootstrap_random_search"]

_GROUPS = re.compile(
    r"\b(role|optimize(\.(miprov2|gepa|bootstrap_random_search))?)\.(?=\w)"
)
_IN_PLACE_OF: dict[str, dict[str, tuple[str, ...]]] = {
    "miprov2": {"auto": ("num_candidates", "num_trials")},
    "gepa": {"auto": ("max_full_evals",), "max_metric_calls": ("max_full_evals",)},
}
"""A setting, and those that have a default which it excludes."""


@contextmanager
def names_of_arguments() -> Iterator[None]:
    """Errors say what the caller wrote, `metric`; in a project it is `role.metric`."""
    try:
        yield
    except PoOptimizerError as error:
        error.args = (_GROUPS.sub("", str(error)),)
        raise


def show_log() -> None:
    """Shows our log lines on stderr, unless logging is configured."""
    ours = logging.getLogger("po_optimizer")
    if not ours.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(message)s"))
        ours.addHandler(handler)
        ours.setLevel(logging.INFO)
        # or each line would stand twice, once a library gives root a handler
        ours.propagate = False


def optimize_params(optimizer: str, settings: dict[str, Any]) -> OptimizeParams:
    """The settings of the optimizer go into its group, the others stay beside it."""
    names = set(OptimizeParams.model_fields)
    values = {k: v for k, v in settings.items() if k in names}
    own = {k: v for k, v in settings.items() if k not in names}
    for name, defaults in _IN_PLACE_OF.get(optimizer, {}).items():
        if own.get(name):
            own = dict.fromkeys(defaults) | own
    if optimizer in names:
        values[optimizer] = own
    return checked_settings(
        OptimizeParams, {"optimizer": optimizer, **values}, optimizer
    )


def checked_settings(model: type[P], values: Mapping[str, Any], group: str = "") -> P:
    """The settings as their model.

    Args:
        model: What they must fit.
        values: By the names that the caller wrote.
        group: Parameter that holds them in a project; errors leave it out.

    Raises:
        SettingError: A setting is unknown, or its value cannot be used.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problem = field_problems(error)[0].removeprefix(f"{group}.")
        name, _, reason = problem.partition(": ")
        value: Any = values
        for step in error.errors()[0]["loc"]:
            value = value.get(step) if isinstance(value, Mapping) else None
        raise SettingError(name, value, reason, "Correct it.") from error


def checked_folder(folder: Any) -> Path:
    """The folder of the results, which may be missing still.

    Raises:
        SettingError: It is no path, or that of a file.
    """
    if not isinstance(folder, str | Path) or not str(folder):
        remedy = 'Name one, as in folder="runs/a".'
        raise SettingError("folder", folder, "it is no path", remedy)
    path = Path(folder).expanduser()
    if path.exists() and not path.is_dir():
        raise SettingError("folder", str(path), "it is a file", "Name a folder.")
    return path


def check_count(name: str, count: int | None) -> None:
    """Checks that a count is None or a whole number of 1 or more.

    Raises:
        SettingError: It is another value.
    """
    if count is not None and (not isinstance(count, int) or count < 1):
        problem = "it is no whole number from 1 on"
        raise SettingError(name, count, problem, "Correct it.")


def metered_lm(name: str, lm: LM, folder: Path, num_threads: int | None) -> MeteredLM:
    """The LM with its ledger and its kept answers in the folder of the results.

    Args:
        name: Of the argument.
        lm: As the caller gave it.
        folder: Of the results.
        num_threads: Calls at a time; None: what the server can, else 8.

    Raises:
        SettingError: It is no LM that can be used, or `num_threads` no number.
    """
    check_count("num_threads", num_threads)
    return lm_of(
        lm,
        folder / "lms",
        run_id=datetime.now(UTC).strftime("%Y-%m-%dT%H.%M.%S.%fZ"),
        name=name,
        adapter=dspy.settings.adapter,
        num_threads=num_threads,
    )


def write_result(path: Path, result: BaseModel) -> None:
    """The result as a JSON file, written whole or not at all."""
    write_whole(path, result.model_dump_json(indent=1))


def write_lines(path: Path, results: Iterable[BaseModel]) -> None:
    """The results as a JSON Lines file, written whole or not at all."""
    lines = (result.model_dump_json() for result in results)
    write_whole(path, "".join(f"{line}\n" for line in lines))
