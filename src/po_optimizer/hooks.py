"""What surrounds a run: LMs are bound, servers stopped, the result is shown."""

import os
from logging import getLogger
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline

from po_optimizer.datasets import DSPyProgramDataset, LMDataset
from po_optimizer.errors import EndedEarlyError
from po_optimizer.lms import stop_servers
from po_optimizer.params import RoleParams
from po_optimizer.terminal import show_summary

# LiteLLM fetches a price map from the network at import unless told not to
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

logger = getLogger(__name__)

_TOLD = (
    "task_lm",
    "prompt_lm",
    "candidate_program",
    "optimized_program",
    "chosen_program",
)
_REPORT = "optimization_report"


class RunHooks:
    """Kedro's hooks of this project.

    They keep nothing: a node's hooks may be called in another process than the run's.
    """

    @hook_impl
    def after_catalog_created(
        self,
        catalog: CatalogProtocol[Any, Any],
        parameters: dict[str, Any],
        save_version: str,
    ) -> None:
        """Tells LM and program entries what the parameters say of them.

        The program of the role is trusted already, being run: so its package is what
        a stored program may import, besides what the catalog allows.
        """
        chosen = parameters["parameters"]
        # Kedro hands over what it validated already: a model, or the raw mapping
        role = RoleParams.model_validate(chosen.get("role") or {})
        package = role.program.partition(".")[0]
        for name in _TOLD:
            dataset = catalog.get(name) if name in catalog else None
            if isinstance(dataset, LMDataset):
                dataset.bind(chosen, save_version)
            if isinstance(dataset, DSPyProgramDataset):
                dataset.allow(package)

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Stops after an interrupted optimization, once all of it is stored.

        A reached budget lets the pipeline go on with the best program so far; the
        exit code at the end tells.

        Raises:
            EndedEarlyError: Ctrl-C ended the optimization.
        """
        if dataset_name == _REPORT and data["ended"] == "interrupted":
            raise EndedEarlyError(data["reason"])

    @hook_impl
    def after_pipeline_run(
        self, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]
    ) -> None:
        """Stops what was started and shows what came of it.

        Raises:
            EndedEarlyError: A budget ended the optimization.
        """
        stop_servers()
        show_summary(pipeline, catalog)
        report = catalog.load(_REPORT) if _REPORT in pipeline.all_outputs() else None
        if report is not None and report["ended"] == "budget":
            raise EndedEarlyError(report["reason"])

    @hook_impl
    def on_pipeline_error(self) -> None:
        """Stops what was started."""
        stop_servers()
