"""The job of a run once more, whose LMs answer from nowhere."""

from dataclasses import dataclass
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


@dataclass(frozen=True)
class _OneAtATime:
    """What an LM of a run is here: its weights are known, its threads are one."""

    recorded: LMInput
    folder: Path

    def make(self) -> MeteredLM:
        """The LM; nothing is started or asked."""
        if self.recorded.own is not None:
            return self._own(self.recorded.own)
        lm = make_lm(self.recorded.params, self.folder, run_id=_RUN_ID)
        # what a server would be asked for
        lm.weights, lm.num_threads = self.recorded.weights, 1
        lm.cache_folder = self.folder / self.recorded.cache_folder
        return lm

    def _own(self, own: OwnLM) -> MeteredLM:
        adapter = self._adapter(own)
        lm: Any = dspy.LM(
            self.recorded.params.model, model_type=own.model_type, cache=own.cache
        )
        lm.kwargs = dict(own.settings)  # as they were after the constructor's changes
        return adopt_lm(lm, self.folder, run_id=_RUN_ID, adapter=adapter, num_threads=1)

    def _adapter(self, own: OwnLM) -> Any:
        if own.adapter not in _ADAPTERS:
            raise ArtifactError(
                f"the run's adapter is {own.adapter}: only DSPy's ChatAdapter, "
                "JSONAdapter and XMLAdapter can be replayed."
            )
        adapter: Any = _ADAPTERS[own.adapter]()
        known = {k: v for k, v in own.switches.items() if k in vars(adapter)}
        vars(adapter).update(known)
        return adapter


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
    task_lm = _OneAtATime(inputs.task_lm, folder / "task").make()
    return Job(
        student=code.student(task_lm),
        trainset=train,
        valset=val,
        metric=code.metric,
        task_lm=task_lm,
        prompt_lm=_OneAtATime(inputs.prompt_lm, folder / "prompt").make(),
        params=inputs.params.model_copy(update={"budget": BudgetParams()}),
    )
