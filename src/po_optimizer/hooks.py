"""What surrounds a run: LMs are bound, servers stopped, the result is shown."""

import os
from logging import getLogger
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline

from po_optimizer.datasets import LMDataset
from po_optimizer.lms import stop_servers
from po_optimizer.terminal import show_summary

# LiteLLM fetches a price map from the network at import unless told not to
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

logger = getLogger(__name__)


class RunHooks:
    """Kedro's hooks of this project."""

    @hook_impl
    def after_catalog_created(
        self,
        catalog: CatalogProtocol[Any, Any],
        parameters: dict[str, Any],
        save_version: str,
    ) -> None:
        """Tells each LM entry what the parameters say of it."""
        for name in ("task_lm", "prompt_lm"):
            dataset = catalog.get(name) if name in catalog else None
            if isinstance(dataset, LMDataset):
                dataset.bind(parameters["parameters"], save_version)

    @hook_impl
    def after_pipeline_run(
        self, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]
    ) -> None:
        """Stops what was started and shows what came of it."""
        stop_servers()
        show_summary(pipeline, catalog)

    @hook_impl
    def on_pipeline_error(self) -> None:
        """Stops what was started."""
        stop_servers()
