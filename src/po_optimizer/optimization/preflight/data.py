"""Whether the splits can carry an optimization."""

import dspy

from po_optimizer.lms.check import Check, check
from po_optimizer.optimization.run_identity import canonical


def check_splits(splits: dict[str, list[dspy.Example]]) -> list[Check]:
    """The trainset and the valset are filled, and no two splits share an example."""
    unmarked = [n for n, split in splits.items() if any(map(_unmarked, split))]
    marked = check(
        "inputs_marked",
        "role.record",
        ", ".join(unmarked),
        "examples whose inputs are marked in every split",
        passed=not unmarked,
        remedy="Call example.with_inputs(...) with the names that the program's "
        "forward takes, in the record's to_example or where the examples are made.",
    )
    if unmarked:
        return [marked]
    sizes = {name: len(examples) for name, examples in splits.items()}
    homes: dict[str, set[str]] = {}
    for name, examples in splits.items():
        for example in examples:
            homes.setdefault(_identity(example), set()).add(name)
    shared = sum(len(names) > 1 for names in homes.values())
    return [
        check(
            "splits_filled",
            "data_prep.sizes",
            dict(sizes),
            "1 or more examples in the trainset and the valset",
            passed=bool(sizes["trainset"] and sizes["valset"]),
            remedy="Give more records, or other sizes.",
        ),
        marked,
        check(
            "splits_disjoint",
            "data_prep",
            shared,
            "0 examples with the same inputs in two splits",
            passed=not shared,
            remedy="Remove the duplicates from the records.",
        ),
    ]


def _unmarked(example: dspy.Example) -> bool:
    try:
        example.inputs()
    except ValueError:
        return True
    return False


def _identity(example: dspy.Example) -> str:
    return canonical(dict(example.inputs().items()))
