"""What is checked without an LM: splits, program, packages, cost and disk."""

import shutil
from importlib.util import find_spec
from pathlib import Path
from uuid import uuid4

import dspy

from po_optimizer.errors import PoOptimizerError
from po_optimizer.lms.check import Check, check
from po_optimizer.optimization.job import Job
from po_optimizer.optimization.optimizers.base import Optimizer
from po_optimizer.persistence import (
    compare_calls,
    describe_missing,
    extract_program_components,
    load_program_from_components,
    missing_parts,
)
from po_optimizer.persistence.scripted_call import call_program
from po_optimizer.records.canonical import canonical

_LONG_INSTRUCTIONS = "Weigh every requirement; mañana, 日本 and \N{SNOWMAN} too. " * 400
_BYTES_PER_MB = 1_000_000


def check_splits(splits: dict[str, list[dspy.Example]]) -> list[Check]:
    """Checks that inputs are marked, no split is empty and no two overlap.

    Without marked inputs two examples cannot be compared: then the first check is all.
    """
    unmarked = [n for n, split in splits.items() if any(map(_is_unmarked, split))]
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
            identity = canonical(dict(example.inputs().items()))
            homes.setdefault(identity, set()).add(name)
    shared = [names for names in homes.values() if len(names) > 1]
    overlapping = [name for name in splits if any(name in names for names in shared)]
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
            ", ".join(overlapping or splits),
            len(shared),
            "0 examples with the same inputs in two splits",
            passed=not shared,
            remedy="Remove the duplicates from the records.",
        ),
    ]


def _is_unmarked(example: dspy.Example) -> bool:
    try:
        example.inputs()
    except ValueError:
        return True
    return False


def check_predictors(student: dspy.Module) -> Check:
    """Checks that there is a prompt to optimize."""
    names = ", ".join(name for name, _ in student.named_predictors())
    return check(
        "has_predictors",
        "role.program",
        names,
        "1 or more predictors that DSPy can see and change",
        passed=bool(names),
        remedy="Keep each dspy.Predict (or ChainOfThought, ReAct ...) in an attribute "
        "of the module, alone or in a list or dict, from its __init__ on.",
    )


def check_packages(optimizer: Optimizer) -> list[Check]:
    """Checks that the packages of the optimizer are installed."""
    return [
        check(
            f"{package}_installed",
            "optimize.optimizer",
            type(optimizer).__name__,
            f"the package {package} installed",
            passed=find_spec(package) is not None,
            remedy=f"Install it: pip install {package}",
        )
        for package in optimizer.packages
    ]


def check_asks(
    student: dspy.Module, trainset: list[dspy.Example], *, asks_own: bool
) -> Check:
    """Checks that other prompts of its predictors are what the program asks.

    Args:
        student: Called with made-up answers, which may end it early: as a guard does.
        trainset: It is called with inputs of these.
        asks_own: A copy that was run on the LM asked with its own predictors.
    """
    inputs = [example.inputs().toDict() for example in trainset[:2]]
    tail = f" {uuid4()}"  # a memory may hold those of the trainset since the last run
    new = {k: v + tail if isinstance(v, str) else v for k, v in inputs[0].items()}
    other = _changed(student, trainset)
    pairs = [[call_program(p, i) for p in (student, other)] for i in (new, *inputs)]
    same = all(
        set(after.requests) <= set(before.requests) and after.result == before.result
        for before, after in pairs
    )
    asks_less = any(
        set(after.requests) < set(before.requests) for before, after in pairs
    )
    return check(
        "candidates_are_asked",
        "role.program",
        f"{type(student).__module__}.{type(student).__qualname__}",
        "a program that asks the LM with each candidate's prompts",
        passed=not (same and (asks_less or not asks_own)),
        remedy="It asks nothing new when the prompts of its predictors change: it "
        "remembers answers outside of itself, as in functools.cache or a global dict, "
        "or asks by predictors that are not its own. No candidate could be better. "
        "Let forward call self's predictors (the LM's answers are kept anyway).",
    )


def _changed(student: dspy.Module, trainset: list[dspy.Example]) -> dspy.Module:
    """The student with long instructions and demos."""
    program = student.deepcopy()
    for predictor in program.predictors():
        predictor.signature = predictor.signature.with_instructions(_LONG_INSTRUCTIONS)
        predictor.demos = trainset[:2]
    return program


def check_storage(student: dspy.Module, trainset: list[dspy.Example]) -> Check:
    """Checks that the student, with long instructions and demos, survives storage."""
    program = _changed(student, trainset)
    try:
        problem = _storage_problem(program, student, trainset)
    except (PoOptimizerError, TypeError, ValueError, AttributeError) as error:
        problem = f"{type(error).__name__}: {error}"
    return check(
        "student_survives_storage",
        "role.program",
        f"{type(student).__module__}.{type(student).__qualname__}",
        "the same prompts after a save and a load",
        passed=not problem,
        remedy=problem,
    )


def _storage_problem(
    program: dspy.Module, student: dspy.Module, trainset: list[dspy.Example]
) -> str:
    """What would be lost by saving and loading the program; "": nothing."""
    document = extract_program_components(program)
    loaded = load_program_from_components(document, program=student)
    if missing := missing_parts(loaded):
        return f"Another program of the role lacks {describe_missing(missing)}."
    if extract_program_components(loaded)["fingerprint"] != document["fingerprint"]:
        return "What was loaded renders other prompts."
    probes = [example.inputs().toDict() for example in trainset[:2]]
    try:
        return compare_calls(program, loaded, probes) or ""
    except ValueError:
        return ""  # the program answers the same question in another way each time


def check_cost(job: Job, optimizer: Optimizer) -> Check:
    """Checks that the cost of a call is known, if it is bounded."""
    bound = job.params.budget.max_cost_usd
    lms = job.lms if optimizer.proposes else [job.task_lm]
    unknown = sorted({lm.slug for lm in lms if not lm.knows_cost})
    return check(
        "cost_is_known",
        "optimize.budget.max_cost_usd",
        bound,
        "a known cost of each call, or the bound would never be reached",
        passed=bound is None or not unknown,
        remedy=f"That of {', '.join(unknown)} is unknown: set lm.price (of another LM "
        "for the prompts: prompt_lm.price), or bound max_calls or max_tokens.",
    )


def check_disk(path: Path, least_mb: float) -> Check:
    """Checks that the disk has room for answers, journal and programs."""
    existing = next(folder for folder in [path, *path.parents] if folder.exists())
    free = shutil.disk_usage(existing).free / _BYTES_PER_MB
    return check(
        "disk_has_room",
        "optimize.preflight.min_free_disk_mb",
        least_mb,
        f"as many MB free at {existing}",
        passed=free >= least_mb,
        remedy=f"{free:.0f} MB are free: make room.",
    )
