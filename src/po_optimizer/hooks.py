"""What surrounds a run: LMs are bound, servers stopped, the result is shown."""

import functools
import importlib
import os
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any

import dspy
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol, MemoryDataset, memory_dataset
from kedro.pipeline import Pipeline

from po_optimizer.config_loader import ProjectConfigLoader
from po_optimizer.console.live import StageBar, show
from po_optimizer.console.logs import (
    escape_logs,
    tolerate_log_failure,
    use_console,
    use_project_logging,
)
from po_optimizer.console.next_step import Invocation
from po_optimizer.console.summary import show_summary, warn_of_kept_outputs
from po_optimizer.datasets import DSPyProgramDataset, LMDataset
from po_optimizer.errors import ExecutionStopError
from po_optimizer.lms.embedded.server import stop_servers
from po_optimizer.lms.interrupt import orderly_interrupt, stop_lms_in_use
from po_optimizer.lms.stops import Interrupted, stop_requested
from po_optimizer.params.project import RoleParams
from po_optimizer.pipeline_registry import check_program_from, shape_pipelines
from po_optimizer.roles.build import make_program

_TABLES = {"pandas", "polars", "ibis", "pyspark"}


def _about_tables(ask: Callable[..., Any], otherwise: Any) -> Callable[..., Any]:
    """Calls `ask` only if a package of tables is loaded; else the data is no table.

    Kedro and kedro-viz import pandas, half a second, to look at the first parameter.
    """

    @functools.wraps(ask)
    def ask_if_loaded(*args: Any) -> Any:
        return ask(*args) if _TABLES & sys.modules.keys() else otherwise

    return ask_if_loaded


def _spare_pandas() -> None:
    inferring = memory_dataset._infer_copy_mode
    memory_dataset._infer_copy_mode = _about_tables(inferring, "deepcopy")
    with suppress(ImportError):  # an extra, untyped
        from kedro_viz.integrations.kedro.hooks import (  # type: ignore[import-untyped] # noqa: PLC0415
            DatasetStatsHook as Stats,
        )

        Stats.create_dataset_stats = _about_tables(Stats.create_dataset_stats, None)


_spare_pandas()

_BOUND = (
    "task_lm",
    "prompt_lm",
    "candidate_program",
    "optimized_program",
    "champion_program",
    "chosen_program",
)
_STORED = ("candidate_program", "optimized_program")
_STORE_SECONDS = 5.0  # usually
_REPORT = "optimization_report"
_SWEEP_REPORT = "sweep_report"


class RunHooks:
    """Kedro's hooks of this project."""

    def __init__(self) -> None:
        self._context: KedroContext | None = None
        self._storing = ExitStack()
        self._signals = ExitStack()

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Checks the parameters, makes the pipelines that they ask for."""
        use_project_logging(context.project_path)
        use_console()
        tolerate_log_failure()
        escape_logs()
        loader = context.config_loader
        if isinstance(loader, ProjectConfigLoader):
            loader.checked_parameters()
        self._context = context
        shape_pipelines(loader["parameters"])
        _register_trackers(context, loader["parameters"])

    @hook_impl
    def after_catalog_created(
        self,
        catalog: CatalogProtocol[Any, Any],
        parameters: dict[str, Any],
        save_version: str,
    ) -> None:
        """Gives LM and program entries the parameters that they work with.

        The role's program is run, so it is trusted: a new one gives a loaded program
        the code and live objects that no document holds.
        """
        chosen = parameters["parameters"]
        # Kedro hands over what it validated already: a model, or the raw mapping
        role = RoleParams.model_validate(chosen.get("role") or {})
        run_id = f"{save_version} {chosen.get('sweep_folder', '')}".strip()
        if self._context is not None:
            catalog["context"] = MemoryDataset(self._context, copy_mode="assign")

        def make_donor() -> dspy.Module:
            """A new program of the role; its constructor may look at the run's LM."""
            lm = catalog.load("task_lm") if "task_lm" in catalog else None
            return make_program(role, lm)

        for name in _BOUND:
            dataset = _own_dataset(catalog, name)
            if isinstance(dataset, LMDataset):
                dataset.bind(chosen, run_id)
            if isinstance(dataset, DSPyProgramDataset):
                dataset.use_donor(make_donor, role.program_args)

    @hook_impl
    def before_pipeline_run(
        self,
        run_params: dict[str, Any],
        pipeline: Pipeline,
        catalog: CatalogProtocol[Any, Any],
    ) -> None:
        """Checks that the program which `program_from` names is stored.

        From then on the first Ctrl-C ends the LM calls of all threads in order.

        Raises:
            SettingError: `program_from` names no program, or the run would make one.
        """
        if run_params.get("only_missing_outputs"):
            warn_of_kept_outputs(pipeline, catalog)
        check_program_from(catalog.load("parameters"), pipeline, catalog)
        self._signals.close()  # Kedro tells no hook of a second one, in a notebook say
        self._signals.enter_context(orderly_interrupt(stop_lms_in_use))

    @hook_impl
    def before_node_run(self) -> None:
        """Stops the run before the next node after a Ctrl-C.

        Raises:
            InterruptedRunError: There was one.
        """
        if stop_requested.is_set():
            raise Interrupted().as_error()

    @hook_impl
    def before_dataset_saved(self, dataset_name: str) -> None:
        """Shows a bar while a program is stored and read back in another process."""
        if dataset_name in _STORED:
            bar = StageBar(f"store {dataset_name}", seconds=_STORE_SECONDS)
            self._storing.enter_context(show(bar))

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Stops after an interrupted optimization, once all of it is stored.

        A reached budget lets the pipeline go on with the best program so far; the
        exit code at the end tells.

        Raises:
            ExecutionStopError: Ctrl-C ended the optimization.
        """
        if dataset_name in _STORED:
            self._storing.close()
        if dataset_name == _REPORT and data["ended"] == "interrupted":
            raise _ended_early(data["reason"])

    @hook_impl
    def after_pipeline_run(
        self,
        run_params: dict[str, Any],
        pipeline: Pipeline,
        catalog: CatalogProtocol[Any, Any],
    ) -> None:
        """Stops what was started, gives the signals back, shows what came of it.

        Raises:
            InterruptedRunError: A Ctrl-C came in the last node: a script that goes on
                after a success must not.
            ExecutionStopError: A budget ended the optimization.
        """
        interrupted = stop_requested.is_set()
        self._signals.close()
        stop_servers()
        invocation = Invocation(run_params["env"], run_params["runtime_params"])
        show_summary(pipeline, catalog, invocation)
        if _REPORT in pipeline.all_outputs():
            report = catalog.load(_REPORT)
            if report["ended"] == "budget":
                released = "optimized_program" in pipeline.all_outputs()
                raise _ended_early(report["reason"], released=released)
        if _SWEEP_REPORT in pipeline.all_outputs():
            early = catalog.load(_SWEEP_REPORT)["ended_early"]
            if early:
                raise ExecutionStopError("; ".join(early))
        if interrupted:
            raise Interrupted().as_error()

    @hook_impl
    def on_pipeline_error(self) -> None:
        """Stops what was started, and gives the signals back."""
        self._storing.close()
        self._signals.close()
        stop_servers()


def _register_trackers(context: KedroContext, parameters: dict[str, Any]) -> None:
    """Loads the integrations that the parameters, or MLflow's variables, ask for.

    Where kedro-mlflow is, the variable asks for nothing: it sets the variable itself.
    """
    tracking = dict(parameters.get("tracking") or {})
    if os.environ.get("MLFLOW_TRACKING_URI") and "kedro_mlflow" not in sys.modules:
        tracking["mlflow"] = tracking.get("mlflow") or {}
    for name, settings in tracking.items():
        if settings is not None:
            module = importlib.import_module(f"{__package__}.integrations.{name}")
            context._hook_manager.register(module.TrackingHooks(settings))


def _ended_early(reason: str, *, released: bool = False) -> ExecutionStopError:
    done = (
        "is released, and the later stages used it."
        if released
        else "is stored as candidate_program: "
        "kedro run --from-nodes=persist.release_program_node releases it."
    )
    return ExecutionStopError(
        f"the optimization ended early: {reason.rstrip('. ')}. The best program so far "
        f"{done}"
    )


def _own_dataset(catalog: Any, entry: str) -> Any:
    """The dataset of that name if its class is of this package, else None.

    Other datasets are not made: they may need a package that is not installed.
    """
    kind = catalog.get_type(entry) if entry in catalog else None
    if kind is None or not kind.startswith(f"{__package__}."):
        return None
    return catalog.get(entry)
