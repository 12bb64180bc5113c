"""Examples as people have them in Python: `dspy.Example`s, dicts, a DataFrame."""

import json
import logging
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import dspy

from po_optimizer.errors import SettingError, listed
from po_optimizer.files import write_whole
from po_optimizer.records.canonical import digest
from po_optimizer.records.reading import frame_records, without_pandas
from po_optimizer.roles.record import input_names

Rows = Any
"""A list of `dspy.Example` or of dicts, a DataFrame, or what gives rows of these."""

_SHARE_OF_TRAIN = 0.5
_SEEN = "splits.json"

logger = logging.getLogger(__name__)


def examples_of(table: Rows, program: dspy.Module, name: str) -> list[dspy.Example]:
    """A table's rows as examples with their inputs marked, in the same order.

    Args:
        table: Examples whose inputs are marked stay as they are; in all others the
            fields that `input_names` gives are marked.
        program: Tells the inputs, where they are not marked.
        name: Of the split, for errors: trainset, valset or testset.

    Raises:
        SettingError: There is no row, or a row has not the fields of the inputs.
    """
    rows = _rows(table, name)
    if not rows:
        raise SettingError(name, 0, "it has no example", "Give one or more.")
    return [_example(row, number, program, name) for number, row in enumerate(rows)]


def _split_off_valset(
    examples: Sequence[dspy.Example], seed: int
) -> tuple[list[dspy.Example], list[dspy.Example]]:
    """A trainset and a valset, halves of the examples; equal inputs stay together.

    Raises:
        SettingError: All examples have the same inputs.
    """
    groups: dict[str, list[dspy.Example]] = {}
    for example, own in zip(examples, input_hashes(examples), strict=True):
        groups.setdefault(own, []).append(example)
    if len(groups) < 2:  # noqa: PLR2004 -- one for each side
        problem = "no valset can be split off fewer than 2 different examples"
        raise SettingError(
            "trainset", len(examples), problem, "Give more, or a valset."
        )
    order = list(groups.values())
    random.Random(seed).shuffle(order)  # noqa: S311 -- a split is no secret
    cut = max(1, round(_SHARE_OF_TRAIN * len(order)))
    train, val = order[:cut], order[cut:]
    return [e for group in train for e in group], [e for group in val for e in group]


def _rows(table: Rows, name: str) -> list[Any]:
    table = frame_records(table)
    if isinstance(table, Iterable) and not isinstance(table, str | Mapping):
        return list(table)
    problem = "it is no list of dspy.Example or dict, and no DataFrame"
    raise SettingError(name, type(table).__name__, problem, "Give one of these.")


def _example(row: Any, number: int, program: dspy.Module, name: str) -> dspy.Example:
    if isinstance(row, dspy.Example) and row._input_keys is not None:
        if not any(field in row for field in row._input_keys):
            raise SettingError(
                f"{name}[{number}]",
                sorted(map(str, row.keys())),
                f"none of these is marked as an input, but {listed(row._input_keys)}",
                "Mark fields that are there: example.with_inputs(...).",
            )
        fields = without_pandas(dict(row.items()))
        changed = {k: value for k, value in fields.items() if value is not row[k]}
        return row.copy(**changed) if changed else row
    where = f"{name}[{number}]"
    if not isinstance(row, Mapping | dspy.Example):
        problem = "it is neither a dspy.Example nor a dict"
        raise SettingError(where, type(row).__name__, problem, "Give one of these.")
    fields = without_pandas(dict(row.items()))
    names = sorted(map(str, fields))
    if not all(isinstance(field, str) for field in fields):
        remedy = "Name the fields, or the columns of the DataFrame."
        raise SettingError(where, names, "names of fields are texts", remedy)
    example = dspy.Example(fields)
    inputs = input_names(program)
    if marked := [field for field in inputs if field in example]:
        return example.with_inputs(*marked)
    takes = listed(inputs) or "any, so that it cannot tell"
    problem = f"none of these is an input of the program, which takes {takes}"
    remedy = "Name the fields so, or mark inputs: example.with_inputs(...)."
    raise SettingError(where, names, problem, remedy)


def make_splits(
    trainset: Rows, valset: Rows, program: dspy.Module, seed: int
) -> tuple[list[dspy.Example], list[dspy.Example]]:
    """Both as examples; without a valset half of the trainset is one.

    Raises:
        SettingError: One is empty, or its rows are no examples of the program.
    """
    train = examples_of(trainset, program, "trainset")
    if valset is not None:
        return train, examples_of(valset, program, "valset")
    train, val = _split_off_valset(train, seed)
    words = "no valset: %d examples of the trainset's %d are one now (seed=%d)"
    logger.info(words, len(val), len(train) + len(val), seed)
    return train, val


def note_seen(splits: Mapping[str, Sequence[dspy.Example]], folder: Path) -> None:
    """Keeps the hashes of what the optimizer sees, for `check_unseen`."""
    hashes = {name: input_hashes(split) for name, split in splits.items()}
    write_whole(folder / _SEEN, json.dumps(hashes, indent=1))


def check_unseen(
    testset: Sequence[dspy.Example], hashes: Sequence[str], folder: Path
) -> None:
    """Refuses a testset of which the optimization of this folder saw a part.

    Args:
        testset: Earlier versions kept the digests of inputs as they stand.
        hashes: Its `input_hashes`.
        folder: Of the optimization.

    Raises:
        SettingError: It did.
    """
    path = folder / _SEEN
    if not path.exists():
        return
    seen = {
        h for hashes in json.loads(path.read_text("utf-8")).values() for h in hashes
    }
    shared = sum(
        own in seen or digest(example.inputs().toDict()) in seen
        for example, own in zip(testset, hashes, strict=True)
    )
    if shared:
        raise SettingError(
            "testset",
            len(hashes),
            f"{shared} of its examples were in the optimization's trainset or valset",
            "Give examples that the optimizer did not see.",
        )


def check_no_demo(
    testset: Sequence[dspy.Example], hashes: Sequence[str], program: dspy.Module
) -> None:
    """Refuses a testset of which the program has a part among its demos.

    Args:
        testset: Says which fields are inputs.
        hashes: Its `input_hashes`.
        program: With demos or without.

    Raises:
        SettingError: It has: wherever it was optimized, it was shown these answers.
    """
    demos = [demo for p in program.predictors() for demo in p.demos]
    marked = [
        dspy.Example(dict(demo)).with_inputs(*names)
        for names in {tuple(example.inputs().keys()) for example in testset}
        for demo in demos
        if all(name in demo for name in names)
    ]
    shown = set(input_hashes(marked))
    shared = sum(own in shown for own in hashes)
    if shared:
        raise SettingError(
            "testset",
            len(testset),
            f"{shared} of its examples are demos of the program, which shows their "
            "answers to the LM",
            "Give examples that are in no demo.",
        )


def groups_of_equals(hashes: Sequence[str]) -> list[str | None]:
    """A group for each example whose inputs another one has, too; None for the others.

    An example that is asked five times proves no more than once.

    Args:
        hashes: The testset's `input_hashes`.
    """
    counts = Counter(hashes)
    repeated = len(hashes) - len(counts)
    if repeated:
        words = (
            "testset: %d of %d examples repeat others' inputs: equal ones count once"
        )
        logger.warning(words, repeated, len(hashes))
    return [f"inputs {h:.8}" if counts[h] > 1 else None for h in hashes]


def input_hashes(examples: Iterable[dspy.Example]) -> list[str]:
    """One of each example, by its inputs alone; white space in texts is all alike."""
    inputs = (example.inputs().toDict().items() for example in examples)
    return [
        digest({k: " ".join(v.split()) if isinstance(v, str) else v for k, v in fields})
        for fields in inputs
    ]
