"""The job of a run once more, whose LMs answer from nowhere."""

from pathlib import Path
from typing import Any

import dspy

from po_optimizer.errors import ArtifactError
from po_optimizer.integrations.packs.code import Code
from po_optimizer.lms import MeteredLM, make_lm
from po_optimizer.lms.build import adopt_lm
from po_optimizer.optimization import Job
from po_optimizer.optimization.inputs import LMInput, OwnLM, RunInputs
from po_optimizer.params import BudgetParams
from po_optimizer.persistence.codec.imports import import_path

_ADAPTERS = {
    import_path(adapter): adapter
    for adapter in (dspy.ChatAdapter, dspy.JSONAdapter, dspy.XMLAdapter)
}
_RUN_ID = "replay"


def _make_lm(recorded: LMInput, folder: Path) -> MeteredLM:
    """An LM of the run, one call at a time; nothing is started or asked."""
    if recorded.own is not None:
        return _own_lm(recorded.own, recorded.params.model, folder)
    lm = make_lm(recorded.params, folder, run_id=_RUN_ID)
    lm.weights, lm.num_threads = recorded.weights, 1  # a server would be asked for them
    lm.cache_folder = folder / recorded.cache_folder
    return lm


def _own_lm(own: OwnLM, model: str, folder: Path) -> MeteredLM:
    if own.adapter not in _ADAPTERS:
        raise ArtifactError(
            f"the run's adapter is {own.adapter}: only DSPy's ChatAdapter, JSONAdapter "
            "and XMLAdapter can be replayed."
        )
    adapter: Any = _ADAPTERS[own.adapter]()
    vars(adapter).update({k: v for k, v in own.switches.items() if k in vars(adapter)})
    try:
        lm: Any = dspy.LM(model, model_type=own.model_type, cache=own.cache)
    except ValueError as error:
        raise ArtifactError(f"the run's LM cannot be made again: {error}") from error
    lm.kwargs = dict(own.settings)  # as they were after the constructor's changes
    return adopt_lm(lm, folder, run_id=_RUN_ID, adapter=adapter, num_threads=1)


def make_job(inputs: RunInputs, code: Code, folder: Path) -> Job:
    """The job, without a budget.

    Args:
        inputs: What the run was made of.
        code: Its program and metric.
        folder: Of the ledgers.

    Raises:
        ArtifactError: Its LMs or examples cannot be made again.
    """
    if inputs.examples.problem:
        raise ArtifactError(
            f"the run's examples are no data: {inputs.examples.problem}"
        )
    train, val = inputs.examples.decode(code.packages)
    task_lm = _make_lm(inputs.task_lm, folder / "task")
    return Job(
        student=code.student(task_lm),
        trainset=train,
        valset=val,
        metric=code.metric,
        task_lm=task_lm,
        prompt_lm=_make_lm(inputs.prompt_lm, folder / "prompt"),
        params=inputs.params.model_copy(update={"budget": BudgetParams()}),
    )
