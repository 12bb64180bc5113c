"""Where traces come from: MLflow, Langfuse's or LangSmith's JSON export, OTLP files.

Whatever is missing in another tool's file, or of another form, is no trace.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from po_optimizer.errors import PoOptimizerError, SettingError, listed, needs_extra
from po_optimizer.records.reading import parse_file

_OTLP_INPUTS = ("mlflow.spanInputs", "input.value", "langfuse.observation.input")
_OTLP_OUTPUTS = ("mlflow.spanOutputs", "output.value", "langfuse.observation.output")


class Trace(NamedTuple):
    """One run of a program, as another tool recorded it.

    Attributes:
        id: The tool's own; "": it says none.
        time: When it began, as the tool says it; "": it says nothing.
        inputs: A mapping, or a text.
        outputs: Likewise.
    """

    id: str
    time: str
    inputs: Any
    outputs: Any


def from_mlflow(source: str, experiment: str) -> Iterator[Trace]:
    """The traces of an experiment, newest first.

    Args:
        source: The tracking URI.
        experiment: Its name.

    Raises:
        SettingError: MLflow is not reached, or there is no such experiment.
    """
    with needs_extra("mlflow", "importing from MLflow"):
        from mlflow import MlflowClient  # noqa: PLC0415
        from mlflow.exceptions import MlflowException  # noqa: PLC0415
    try:
        client = MlflowClient(source)
        place = client.get_experiment_by_name(experiment)
        if place is None:
            names = listed(other.name for other in client.search_experiments())
            raise SettingError(
                "--experiment", experiment, "there is none", f"There are {names}."
            )
        token = None
        while True:
            page = client.search_traces(
                locations=[place.experiment_id], page_token=token, max_results=500
            )
            for trace in page:
                root = next((s for s in trace.data.spans if s.parent_id is None), None)
                if root is not None:
                    time = str(trace.info.timestamp_ms)
                    yield Trace(trace.info.trace_id, time, root.inputs, root.outputs)
            token = page.token
            if not token:
                return
    except MlflowException as error:
        raise SettingError(
            "SOURCE", source, f"MLflow says: {str(error)[:300]}", "Correct it."
        ) from error


def from_export(source: str, _experiment: str) -> Iterator[Trace]:
    """The traces of Langfuse's or LangSmith's JSON export, which differ in names.

    An array, `{"data": [...]}` or lines; a run of LangSmith's within another is none.
    """
    for document in _documents(source):
        for entry in _mappings(document, "data") if "data" in document else [document]:
            if entry.get("parent_run_id"):
                continue
            times = map(entry.get, ("timestamp", "startTime", "start_time"))
            yield Trace(
                str(entry.get("id") or ""),
                str(next(filter(None, times), "")),
                entry.get("input", entry.get("inputs")),
                entry.get("output", entry.get("outputs")),
            )


def from_otlp(source: str, _experiment: str) -> Iterator[Trace]:
    """A trace for each trace id in a file of a collector's file exporter.

    Its inputs and outputs are those of the outermost span that has both.
    """
    spans = [
        span
        for document in _documents(source)
        for resource in _mappings(document, "resourceSpans")
        for scope in _mappings(resource, "scopeSpans")
        for span in _mappings(scope, "spans")
    ]
    traces: dict[str, Trace] = {}
    for span in sorted(spans, key=_outermost_first):
        values = _attributes(span, "attributes")
        inputs = next((values[k] for k in _OTLP_INPUTS if k in values), None)
        outputs = next((values[k] for k in _OTLP_OUTPUTS if k in values), None)
        if inputs is not None and outputs is not None:
            identity = str(span.get("traceId") or "")
            time = str(span.get("startTimeUnixNano") or "")
            traces.setdefault(identity, Trace(identity, time, inputs, outputs))
    yield from traces.values()


def _outermost_first(span: Mapping[str, Any]) -> tuple[bool, int, str]:
    time = str(span.get("startTimeUnixNano") or "")  # a number, as a text or not
    return bool(span.get("parentSpanId")), len(time), time


def _attributes(node: Mapping[str, Any], name: str) -> dict[str, Any]:
    """OTLP's list of keys and values; an attribute without a value is none."""
    values = {a.get("key"): _any_value(a.get("value")) for a in _mappings(node, name)}
    return {str(key): value for key, value in values.items() if value is not None}


def _any_value(node: Any) -> Any:
    """What an `AnyValue` of OTLP holds."""
    if not isinstance(node, Mapping) or not node:
        return None
    kind, value = next(iter(node.items()))
    if isinstance(value, Mapping) and kind == "kvlistValue":
        return _attributes(value, "values")
    if isinstance(value, Mapping) and kind == "arrayValue":
        return [_any_value(part) for part in _mappings(value, "values")]
    if kind == "intValue" and str(value).removeprefix("-").isdecimal():
        return int(value)  # JSON of OTLP writes 64 bits as a text
    return value


def _mappings(node: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """The mappings in a list of another tool's document; [] if it is no list."""
    parts = node.get(name)
    return [p for p in parts if isinstance(p, Mapping)] if type(parts) is list else []


def _documents(source: str) -> list[dict[str, Any]]:
    """The JSON mappings of a file, an array's apart."""
    values = rows_of_file("SOURCE", Path(source), "json")
    return [value for value in values if isinstance(value, dict)]


def rows_of_file(setting: str, path: Path, kind: str) -> list[Any]:
    """The values in a file of this kind, whatever its name.

    Raises:
        PoOptimizerError: It cannot be read; its line is named where there is one.
    """
    try:
        rows = parse_file(f"{path.name}.{kind}", path.read_bytes())
    except (OSError, ValueError) as error:
        raise PoOptimizerError(
            f"{setting}={str(path)!r} cannot be read: {error}"
        ) from error
    if broken := next((r for r in rows if r.problem and r.value is None), None):
        raise PoOptimizerError(f"{path}, line {broken.line}: {broken.problem}")
    return [row.value for row in rows]


SOURCES: dict[str, Callable[[str, str], Iterator[Trace]]] = {
    "mlflow": from_mlflow,
    "langfuse": from_export,
    "langsmith": from_export,
    "otlp": from_otlp,
}
