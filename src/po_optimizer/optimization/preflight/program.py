"""Whether what an optimization makes of the student can be stored."""

import shutil
from importlib.util import find_spec
from pathlib import Path

import dspy

from po_optimizer.errors import PoOptimizerError
from po_optimizer.lms.check import Check, check
from po_optimizer.optimization.optimizers import Optimizer
from po_optimizer.persistence import (
    compare_calls,
    describe_missing,
    extract_program_components,
    load_program_from_components,
    missing_parts,
)

_LONG_INSTRUCTIONS = "Weigh every requirement; mañana, 日本 and \N{SNOWMAN} too. " * 400
_BYTES_PER_MB = 1_000_000


def check_survival(student: dspy.Module, trainset: list[dspy.Example]) -> Check:
    """The student with long instructions and demos renders the same after a load."""
    program = student.deepcopy()
    for predictor in program.predictors():
        predictor.signature = predictor.signature.with_instructions(_LONG_INSTRUCTIONS)
        predictor.demos = trainset[:2]
    try:
        document = extract_program_components(program)
        loaded = load_program_from_components(document, program=student)
        fingerprint = extract_program_components(loaded)["fingerprint"]
        unchanged = fingerprint == document["fingerprint"]
        problem = "" if unchanged else "What was loaded renders other prompts."
        missing = missing_parts(loaded)
        if missing:
            problem = f"Another program of the role lacks {describe_missing(missing)}."
        problem = problem or _difference(program, loaded, trainset)
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


def _difference(
    program: dspy.Module, loaded: dspy.Module, trainset: list[dspy.Example]
) -> str:
    """How a scripted call of the loaded program differs; "" where it does not."""
    probes = [example.inputs().toDict() for example in trainset[:2]]
    try:
        return compare_calls(program, loaded, probes) or ""
    except ValueError:
        return ""  # the program answers the same question in another way each time


def check_predictors(student: dspy.Module) -> Check:
    """There is a prompt to optimize."""
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
    """What the optimizer imports late is installed."""
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


def check_disk(path: Path, least_mb: float) -> Check:
    """The disk has room for answers, journal and programs."""
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
