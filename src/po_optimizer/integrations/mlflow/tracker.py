"""One MLflow run for each optimization, continued by its restarts and evaluations."""

import functools
import logging
import math
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ParamSpec

import dspy
import mlflow
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException

from po_optimizer.api import Optimized, Verdict
from po_optimizer.errors import SettingError
from po_optimizer.optimization.report import Ended, Scored, Started, listening
from po_optimizer.optimization.run_identity import optimization_id
from po_optimizer.params.project import MLflowParams
from po_optimizer.persistence import save_program

logger = logging.getLogger(__name__)

_TAG = "po_optimizer.optimization_id"
_LOADER = "po_optimizer.integrations.mlflow.model"
_MOST_CHARACTERS = 500  # of a parameter's value in every store
_UNFIT = re.compile(r"[^\w\-. /:]")

# an unreachable server must not hold a run for the minutes of MLflow's own default
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")

P = ParamSpec("P")


def _tolerant(method: Callable[P, None]) -> Callable[P, None]:
    """A failure of MLflow is a warning: what is paid for goes on."""

    @functools.wraps(method)
    def send(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            method(*args, **kwargs)
        except MlflowException as error:
            logger.warning("tracking.mlflow: not recorded: %s", str(error)[:300])

    return send


class Tracker:
    """Logs optimizations and evaluations.

    Args:
        params: Where to, and under which experiment.

    Raises:
        SettingError: MLflow is not reached, before anything is paid for.
    """

    def __init__(self, params: MLflowParams) -> None:
        self.params = params
        try:
            self.client = mlflow.MlflowClient(tracking_uri=params.uri)
            experiment = self.client.get_experiment_by_name(params.experiment)
            self.experiment_id = (
                str(experiment.experiment_id)
                if experiment
                else self.client.create_experiment(params.experiment)
            )
        except MlflowException as error:
            uri = params.uri or mlflow.get_tracking_uri()
            raise SettingError(
                "tracking.mlflow.uri",
                uri,
                f"MLflow says: {str(error)[:300]}",
                "Correct it, or leave tracking.mlflow out.",
            ) from error
        self.run_id: str | None = None
        self._started: Started | None = None
        self._steps: set[int] = set()

    def __call__(self, event: object) -> None:
        """Logs an event of an optimization or of the API."""
        match event:
            case Started():
                self._begin(event)
            case Scored():
                self._log_trial(event.trial.model_dump(mode="json"))
            case Ended():
                self._end(event)
            case Optimized():
                self.log_optimization(event.report.model_dump(mode="json"))
                self.log_program(event.program)
            case Verdict():
                self.log_scores(event.report.model_dump(mode="json"))
                self.log_decision(
                    {"decision": event.decision, "reasons": event.reasons}
                )

    @_tolerant
    def _begin(self, event: Started) -> None:
        self._started = event
        self.use_run(optimization_id(event.fingerprint))
        values = {"optimizer": event.optimizer, **event.fingerprint}
        params = [
            Param(_UNFIT.sub("_", name), value[:_MOST_CHARACTERS])
            for name, value in values.items()
        ]
        self._batch(params=params)
        if event.forecast is not None:
            numbers = event.forecast.model_dump(mode="json")
            kept = ("tokens", "seconds", "cost_usd", "trials")
            self._numbers("forecast", {name: numbers[name] for name in kept})
            self._numbers("forecast.calls", {"upper": event.forecast.calls.upper})

    def use_run(self, identity: str) -> None:
        """The run of this optimization, continued if there is one."""
        quoted = f"tags.`{_TAG}` = '{identity}'"
        runs = self.client.search_runs([self.experiment_id], quoted, max_results=1)
        if runs:
            self.run_id = runs[0].info.run_id
            self.client.update_run(self.run_id, status="RUNNING")
            history = self.client.get_metric_history(self.run_id, "trial.score")
            self._steps = {metric.step for metric in history}
            return
        tags = {_TAG: identity, "mlflow.source.name": "po_optimizer"}
        run = self.client.create_run(
            self.experiment_id, tags=tags, run_name=f"optimization {identity[:8]}"
        )
        self.run_id, self._steps = run.info.run_id, set()

    @_tolerant
    def _log_trial(self, trial: Mapping[str, Any]) -> None:
        """A trial's figures at its step, unless an earlier start logged them."""
        step = trial["trial"]
        if step in self._steps:
            return
        kept = ("score", "best", "n", "n_failed", "calls_paid", "calls_cached")
        self._steps.add(step)
        self._numbers("trial", {name: trial[name] for name in (*kept, "seconds")}, step)
        if self._started is not None:
            self._log_spent(self._started.spent().model_dump())

    def _log_spent(self, usage: Mapping[str, Any]) -> None:
        """At the last trial's step: MLflow shows the figure of the highest one."""
        cost = math.nan if usage["cost_usd"] is None else usage["cost_usd"]
        self._numbers("spent", {**usage, "cost_usd": cost}, max(self._steps, default=0))

    @_tolerant
    def _end(self, event: Ended) -> None:
        if self._started is not None:
            self._log_spent(self._started.spent().model_dump())
        if self.run_id is not None:
            finished = event.ended in ("completed", "budget")
            self.client.set_tag(self.run_id, "po_optimizer.ended", event.ended)
            self.client.set_terminated(
                self.run_id, "FINISHED" if finished else "KILLED"
            )

    @_tolerant
    def log_optimization(self, report: Mapping[str, Any]) -> None:
        """The report on the search."""
        if self.run_id is None:
            self.use_run(report["optimization_id"])
        self._log_spent(report["spent"])
        scores = {name: report[name]["score"] for name in ("baseline", "best")}
        self._numbers("valset", scores)
        self.client.log_dict(self.run_id, dict(report), "optimization_report.json")

    @_tolerant
    def log_scores(self, report: Mapping[str, Any]) -> None:
        """Both programs' means on the testset, with n and interval."""
        for name, estimate in _estimates(report):
            values = {**(estimate["interval"] or {}), **estimate}
            kept = ("mean", "n", "low", "high")
            self._numbers(f"test.{name}", {k: values.get(k) for k in kept})
        self.client.log_dict(self.run_id, dict(report), "score_report.json")

    @_tolerant
    def log_decision(self, promotion: Mapping[str, Any]) -> None:
        """Promote or keep, and why."""
        self.client.set_tag(self.run_id, "po_optimizer.decision", promotion["decision"])
        self.client.log_dict(self.run_id, dict(promotion), "promotion.json")

    @_tolerant
    def log_text(self, text: str, name: str) -> None:
        """A page or another text as an artifact."""
        self.client.log_text(self.run_id, text, name)

    @_tolerant
    def link_traces(self, traces: list[str]) -> None:
        """Traces by their ids, as traces of this run."""
        if traces:
            self.client.link_traces_to_run(traces, self.run_id)

    @_tolerant
    def log_program(self, program: dspy.Module) -> None:
        """The program as an MLflow model, whose loader is ours: data, no pickle."""
        with tempfile.TemporaryDirectory() as folder:
            document = Path(folder) / "program.json"
            save_program(program, document, dill="off", verify="off")
            model = Path(folder) / "program"
            mlflow.pyfunc.save_model(
                model,
                loader_module=_LOADER,
                data_path=str(document),
                pip_requirements=["po-optimizer"],
            )
            self.client.log_artifacts(self.run_id, str(model), "program")

    def _numbers(self, prefix: str, values: Mapping[str, Any], step: int = 0) -> None:
        now = int(time.time() * 1000)
        metrics = [
            Metric(_UNFIT.sub("_", f"{prefix}.{name}"), float(value), now, step)
            for name, value in values.items()
            if isinstance(value, int | float)
        ]
        self._batch(metrics=metrics)

    def _batch(self, **entries: Any) -> None:
        if self.run_id is not None:
            self.client.log_batch(self.run_id, **entries)


def _estimates(node: Any, path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every mean with its n in a report, by its path."""
    if not isinstance(node, Mapping):
        return
    if {"mean", "n", "interval"} <= node.keys():
        yield path, node
        return
    for name, part in node.items():
        yield from _estimates(part, f"{path}.{name}".lstrip("."))


@contextmanager
def track(
    uri: str | None = None, *, experiment: str = "po_optimizer"
) -> Iterator[Tracker]:
    """Logs every `optimize` and `evaluate` in the block to MLflow.

    Args:
        uri: Where MLflow keeps runs; None: as MLflow's own variables say.
        experiment: Made when missing.

    Raises:
        SettingError: MLflow is not reached.
    """
    tracker = Tracker(MLflowParams(uri=uri, experiment=experiment))
    with listening(tracker):
        yield tracker
