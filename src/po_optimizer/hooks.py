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


class RunHooks:
    """Kedro's hooks of this project."""

    def __init__(self) -> None:
        self._ended_early: str | None = None

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
        for name in ("task_lm", "prompt_lm", "candidate_program", "optimized_program"):
            dataset = catalog.get(name) if name in catalog else None
            if isinstance(dataset, LMDataset):
                dataset.bind(chosen, save_version)
            if isinstance(dataset, DSPyProgramDataset):
                dataset.allow(package)

    @hook_impl
    def before_pipeline_run(self) -> None:
        """Forgets the last run of this process."""
        self._ended_early = None

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Stops after an interrupted optimization, once all of it is stored.

        A reached budget lets the pipeline go on with the best program so far; the
        exit code tells.

        Raises:
            EndedEarlyError: Ctrl-C ended the optimization.
        """
        if dataset_name != "optimization_report" or data["ended"] == "completed":
            return
        if data["ended"] == "interrupted":
            raise EndedEarlyError(data["reason"])
        self._ended_early = data["reason"]

    @hook_impl
    def after_pipeline_run(
        self, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]
    ) -> None:
        """Stops what was started and shows what came of it."""
        stop_servers()
        show_summary(pipeline, catalog)
        if self._ended_early is not None:
            raise EndedEarlyError(self._ended_early)

    @hook_impl
    def on_pipeline_error(self) -> None:
        """Stops what was started."""
        stop_servers()
