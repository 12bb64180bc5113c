"""Records as tables of numbers: all that means and intervals need of them."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, zip_longest
from statistics import variance
from typing import TYPE_CHECKING, Any

from po_optimizer.errors import PoOptimizerError
from po_optimizer.evaluation.predictions import PredictionRecord

if TYPE_CHECKING:
    import pandas as pd

COMPONENT, STRATUM = "component ", "stratum "  # before the names of such columns
_ROWS = 1000  # turned into arrays at a time


def tabulate(*streams: Iterable[PredictionRecord]) -> "list[pd.DataFrame]":
    """A table of each program's records, one row an example, NaN where there is none.

    Columns: which, status, group, score, rubric, seconds, repeats, variance, paid, and
    one for each component and each field of the strata. The streams are read once and
    side by side.

    Args:
        streams: The baseline's records, the optimized program's, and if wanted those
            of the reference outputs.

    Raises:
        PoOptimizerError: They are not of the same examples in the same order.
    """
    import pandas as pd  # noqa: PLC0415 -- half a second, at the start of every run

    parts: list[list[pd.DataFrame]] = [[] for _ in streams]
    rows = ([_row(record) for record in group] for group in side_by_side(*streams))
    while chunk := list(islice(rows, _ROWS)):
        for part, mine in zip(parts, zip(*chunk, strict=True), strict=True):
            part.append(pd.DataFrame(list(mine)))
    return [pd.concat(part, ignore_index=True) for part in parts]


def side_by_side(
    *streams: Iterable[PredictionRecord],
) -> Iterator[tuple[PredictionRecord, ...]]:
    """What every stream says of the first example, then of the second, and so on.

    Raises:
        PoOptimizerError: At the end, if there was a difference or no record.
    """
    sizes = [0] * len(streams)
    difference = ""
    for records in zip_longest(*streams):
        pairs = zip(sizes, records, strict=True)
        sizes = [n + (record is not None) for n, record in pairs]
        difference = difference or _difference(records)
        if not difference:
            yield records
    if difference or not sizes[0]:
        of = ("of the baseline", "of the optimized program", "examples in the testset")
        counts = ", ".join(f"{n} {what}" for n, what in zip(sizes, of, strict=False))
        raise PoOptimizerError(
            f"the predictions cannot be paired: {counts}, "
            f"{difference or 'which is none'}. Both programs must answer the same "
            "testset in the same order: run the pipeline evaluate again."
        )


def _difference(records: Sequence[PredictionRecord | None]) -> str:
    present = [record for record in records if record is not None]
    if len(present) < len(records):
        return "which is not the same number"
    first = present[0]
    for record in present:
        if (record.index, record.example_id) != (first.index, first.example_id):
            return f"first {first.example_id!r} beside {record.example_id!r}"
    return ""


def _row(record: PredictionRecord) -> dict[str, Any]:
    return {
        "which": record.which,
        "status": record.status,
        "group": record.group,
        "score": record.score,
        "rubric": record.rubric,
        "seconds": record.seconds,
        "repeats": max(1, len(record.repeats)),
        "variance": variance(record.repeats) if len(record.repeats) > 1 else None,
        "paid": bool(record.prompt_tokens or record.completion_tokens),
        **{f"{COMPONENT}{name}": value for name, value in record.components.items()},
        **{f"{STRATUM}{field}": value for field, value in record.strata.items()},
    }
