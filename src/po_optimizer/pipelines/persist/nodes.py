"""Nodes of persist: release the candidate with its provenance."""

import platform
from importlib.metadata import version
from typing import Any

import dspy

from po_optimizer.params import RoleParams
from po_optimizer.persistence import attach_provenance

_PACKAGES = ("po-optimizer", "dspy", "dill", "kedro", "optuna", "pydantic")


def release_program(
    candidate_program: dspy.Module,
    optimization_report: dict[str, Any],
    data_report: dict[str, Any],
    role: RoleParams,
) -> dspy.Module:
    """The candidate with how it came about; its dataset stores and verifies it."""
    report = optimization_report
    provenance = {
        "data_hash": data_report["data_hash"],
        "splits": {name: s["n"] for name, s in data_report["splits"].items()},
        "optimizer": report["optimizer"],
        "optimization_id": report["optimization_id"],
        "seed": report["seed"],
        "ended": report["ended"],
        "valset_baseline": report["baseline"],
        "valset_best": report["best"],
        "task_lm": report["fingerprint"]["task_lm.slug"],
        "prompt_lm": report["fingerprint"]["prompt_lm.slug"],
        "metric": role.metric,
        "metric_args": dict(role.metric_args),
        "versions": {name: version(name) for name in _PACKAGES},
        "python": platform.python_version(),
    }
    return attach_provenance(candidate_program, provenance)
