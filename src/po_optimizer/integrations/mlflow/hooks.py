"""Logs a Kedro run to MLflow: its events, and what it saves in the catalog."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import dspy
import mlflow
import mlflow.dspy
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline.node import Node
from mlflow.entities.trace_location import MlflowExperimentLocation

from po_optimizer.integrations.mlflow.tracker import Tracker
from po_optimizer.lms.lm import use_lm
from po_optimizer.optimization.report import listening
from po_optimizer.params.project import MLflowParams, RoleParams
from po_optimizer.records.checking import to_examples
from po_optimizer.roles.record import load_record_type

_PROBE = "optimize.prepare_optimization_node"


class TrackingHooks:
    """Kedro's hooks of this integration.

    Args:
        settings: `tracking.mlflow`.
    """

    def __init__(self, settings: Mapping[str, Any] | MLflowParams) -> None:
        self._params = MLflowParams.model_validate(settings)
        self._tracker: Tracker | None = None
        self._catalog: CatalogProtocol[Any, Any] | None = None
        self._run = ExitStack()
        self._traced = ExitStack()

    @hook_impl
    def before_pipeline_run(self, catalog: CatalogProtocol[Any, Any]) -> None:
        """Reaches MLflow, before anything is paid for."""
        self._catalog = catalog
        self._tracker = Tracker(self._params)
        self._run.enter_context(listening(self._tracker))

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """Traces the calls of the probe."""
        if node.name == _PROBE and self._params.traces:
            self._traced.enter_context(self._tracing())

    @hook_impl
    def after_node_run(self) -> None:
        """Ends the probe's traces."""
        self._traced.close()

    on_node_error = after_node_run

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Logs reports, programs, scores and pages."""
        tracker = self._tracker
        if tracker is None:
            return
        match dataset_name:
            case "optimization_report":
                tracker.log_optimization(data)
            case "optimized_program":
                self._continue_run()
                tracker.log_program(data)
            case "score_report":
                self._continue_run()
                tracker.log_scores(data)
            case "promotion":
                tracker.log_decision(data)
                self._trace_worst()
            case "prompt_diff" | "report":
                tracker.log_text(data, f"{dataset_name}.html")

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Ends the traces and the logging."""
        self._traced.close()
        self._run.close()

    on_pipeline_error = after_pipeline_run

    def _continue_run(self) -> None:
        """The optimization's run, where only what follows it was run now."""
        tracker, catalog = self._tracker, self._catalog
        if tracker and catalog and tracker.run_id is None:
            report = catalog.load("optimization_report") or {}
            identity = report.get("optimization_id")
            tracker.use_run(identity or str(catalog.load("lm_usage")["run"]))

    def _trace_worst(self) -> None:
        """Runs the examples with the lowest scores again, by kept answers."""
        tracker, catalog = self._tracker, self._catalog
        if not (tracker and catalog and self._params.traces):
            return
        records = [
            record
            for record in catalog.load("optimized_predictions")
            if record["score"] is not None
        ]
        records.sort(key=lambda record: record["score"])
        positions = sorted(record["index"] for record in records[: self._params.traces])
        role = RoleParams.model_validate(catalog.load("parameters").get("role") or {})
        examples = list(to_examples(catalog.load("testset"), load_record_type(role)))
        program, lm = catalog.load("optimized_program"), catalog.load("task_lm")
        traces = []
        # tracing first: `use_lm` takes over what DSPy has by then
        with self._tracing(), use_lm(lm, stage="tracking"):
            for position in positions:
                # those on which the program raises are the worst ones
                with suppress(Exception):
                    program(**examples[position].inputs())
                traces.append(mlflow.get_last_active_trace_id(thread_local=True))
        # no run is started for them: kedro-mlflow's, of another experiment, is active
        tracker.link_traces([trace for trace in traces if trace])

    @contextmanager
    def _tracing(self) -> Iterator[None]:
        """Within the block DSPy's calls are traces of the experiment."""
        earlier, tracker = mlflow.get_tracking_uri(), self._tracker
        usage = dspy.settings.track_usage  # autolog changes it for good
        if tracker is None or threading.current_thread() is not threading.main_thread():
            yield  # DSPy is configured by the main thread alone
            return
        if self._params.uri:
            mlflow.set_tracking_uri(self._params.uri)
        place = MlflowExperimentLocation(tracker.experiment_id)
        mlflow.tracing.set_destination(place)  # in threads, too
        mlflow.dspy.autolog(silent=True)
        try:
            yield
        finally:
            mlflow.dspy.autolog(disable=True, silent=True)
            dspy.configure(track_usage=usage)
            mlflow.flush_trace_async_logging()
            mlflow.tracing.reset()
            mlflow.set_tracking_uri(earlier)
