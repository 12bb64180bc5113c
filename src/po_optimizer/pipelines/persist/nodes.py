"""Nodes of persist: release the candidate with its provenance."""

import platform
from importlib.metadata import version
from typing import Any

import dspy

from po_optimizer.lms import MeteredLM
from po_optimizer.params import RoleParams
from po_optimizer.persistence import attach_provenance
from po_optimizer.reporting.prompt_diff import prompt_diff_html
from po_optimizer.roles import make_program

_PACKAGES = ("po-optimizer", "dspy", "dill", "kedro", "optuna", "pydantic")


def release_program(
    candidate_program: dspy.Module,
    optimization_report: dict[str, Any],
    data_report: dict[str, Any],
    task_lm: MeteredLM,
    prompt_lm: MeteredLM,
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
        "task_lm": task_lm.slug,
        "prompt_lm": prompt_lm.slug,
        "metric": role.metric,
        "metric_args": dict(role.metric_args),
        "versions": {name: version(name) for name in _PACKAGES},
        "python": platform.python_version(),
    }
    return attach_provenance(candidate_program, provenance)


def compare_prompts(
    role: RoleParams, optimized_program: dspy.Module, task_lm: MeteredLM
) -> str:
    """The prompt before and after as a page, demos included."""
    return prompt_diff_html(make_program(role, task_lm), optimized_program)
