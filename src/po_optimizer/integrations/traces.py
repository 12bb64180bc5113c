"""`po-optimizer import-traces`: records out of what a program did in use.

A trace's inputs and outputs become a record with its origin. What a program answered
is no reference: a person approves or corrects it in a CSV first.
"""

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import click

from po_optimizer.errors import PoOptimizerError, SettingError, listed, needs_extra
from po_optimizer.files import write_whole
from po_optimizer.records.reading import parse_file

_APPROVED = "approved"
_YES = {"yes", "y", "true", "1", "x"}
_TRACE = "trace"
_NESTED = ("kwargs", "inputs", "input", "args")
_OTLP_INPUTS = ("mlflow.spanInputs", "input.value", "langfuse.observation.input")
_OTLP_OUTPUTS = ("mlflow.spanOutputs", "output.value", "langfuse.observation.output")


@dataclass(frozen=True)
class Trace:
    """One run of a program, as another tool recorded it.

    Attributes:
        id: The tool's own.
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
        SettingError: There is no such experiment.
    """
    with needs_extra("mlflow", "importing from MLflow"):
        from mlflow import MlflowClient  # noqa: PLC0415
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


def from_langfuse(source: str, _experiment: str) -> Iterator[Trace]:
    """The traces of Langfuse's JSON export: an array, `{"data": [...]}` or lines."""
    for row in _documents(source):
        for entry in row.get("data", [row]) if isinstance(row, Mapping) else ():
            yield Trace(
                str(entry.get("id", "")),
                str(entry.get("timestamp") or entry.get("startTime") or ""),
                entry.get("input"),
                entry.get("output"),
            )


def from_otlp(source: str, _experiment: str) -> Iterator[Trace]:
    """A trace for each trace id in a file of a collector's file exporter.

    Its inputs and outputs are those of the outermost span that has both.
    """
    spans = [
        span
        for document in _documents(source)
        for resource in document.get("resourceSpans", ())
        for scope in resource.get("scopeSpans", ())
        for span in scope.get("spans", ())
    ]
    traces: dict[str, Trace] = {}
    for span in sorted(spans, key=_is_inner):
        values = {
            a["key"]: next(iter(a["value"].values()), None)
            for a in span.get("attributes", ())
        }
        inputs = next((values[k] for k in _OTLP_INPUTS if k in values), None)
        outputs = next((values[k] for k in _OTLP_OUTPUTS if k in values), None)
        if inputs is not None and outputs is not None:
            time = str(span.get("startTimeUnixNano", ""))
            identity = str(span.get("traceId", ""))
            traces.setdefault(identity, Trace(identity, time, inputs, outputs))
    yield from traces.values()


def _is_inner(span: Mapping[str, Any]) -> tuple[bool, int]:
    return bool(span.get("parentSpanId")), int(span.get("startTimeUnixNano") or 0)


def _documents(source: str) -> list[Any]:
    """The JSON values of a file, an array's apart.

    Raises:
        PoOptimizerError: It cannot be read.
    """
    path = Path(source)
    try:
        rows = parse_file(f"{path.name}.json", path.read_bytes())
    except (OSError, ValueError) as error:
        raise PoOptimizerError(f"SOURCE={source!r} cannot be read: {error}") from error
    broken = next((row for row in rows if row.problem), None)
    if broken is not None:
        raise PoOptimizerError(f"{source}, line {broken.line}: {broken.problem}")
    return [row.value for row in rows if isinstance(row.value, dict)]


Reader = Callable[[str, str], Iterator[Trace]]
SOURCES: dict[str, Reader] = {
    "mlflow": from_mlflow,
    "langfuse": from_langfuse,
    "otlp": from_otlp,
}


def fields_of(payload: Any, names: Sequence[str]) -> dict[str, Any] | None:
    """The named values in what a tool recorded; None: one of them is not there.

    A text that is no JSON is the value of the only name.
    """
    if isinstance(payload, str):
        try:
            payload = json.loads(payload)
        except ValueError:
            return {names[0]: payload} if len(names) == 1 else None
    if isinstance(payload, Mapping):
        if all(name in payload for name in names):
            return {name: payload[name] for name in names}
        inner = (payload[key] for key in _NESTED if payload.get(key))
        parts = (fields_of(part, names) for part in inner if not isinstance(part, str))
        return next((values for values in parts if values is not None), None)
    if isinstance(payload, list) and len(payload) == 1:
        return fields_of(payload[0], names)
    return {names[0]: payload} if len(names) == 1 and payload is not None else None


def records_of(
    traces: Iterable[Trace], origin: str, inputs: Sequence[str], outputs: Sequence[str]
) -> tuple[list[dict[str, Any]], int]:
    """A record for each trace with other inputs, and how many traces had none.

    What was answered stands in `answered`; the references are None.
    """
    records: dict[str, dict[str, Any]] = {}
    n_without = 0
    for trace in traces:
        given = fields_of(trace.inputs, inputs)
        if given is None:
            n_without += 1
            continue
        records.setdefault(
            json.dumps(given, sort_keys=True, default=str),
            {
                **given,
                **dict.fromkeys(outputs),
                "answered": fields_of(trace.outputs, outputs),
                "origin": {"source": origin, "trace": trace.id, "time": trace.time},
            },
        )
    return list(records.values()), n_without


def review_table(records: Iterable[Mapping[str, Any]], names: Sequence[str]) -> str:
    """The CSV in which a person says yes, or corrects what was answered."""
    text = StringIO()
    writer = csv.writer(text)
    writer.writerow([_APPROVED, _TRACE, *names])
    for record in records:
        given = {k: v for k, v in record.items() if v is not None}
        values = {**(record["answered"] or {}), **given}
        cells = [_cell(values.get(name)) for name in names]
        writer.writerow(["", record["origin"][_TRACE], *cells])
    return text.getvalue()


def approve(
    records: Iterable[dict[str, Any]], table: Iterable[Mapping[str, str]], names: Any
) -> list[dict[str, Any]]:
    """The records with the references of those that the table approves."""
    approved = {
        row[_TRACE]: row
        for row in table
        if row.get(_APPROVED, "").strip().lower() in _YES
    }
    return [
        {**record, **{name: _value(row[name]) for name in names}}
        if (row := approved.get(record["origin"][_TRACE]))
        else record
        for record in records
    ]


def _cell(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False, default=str)


def _value(cell: str) -> Any:
    """A list or mapping as such; all else is text, as it stands."""
    if cell[:1] in ("[", "{"):
        try:
            return json.loads(cell)
        except ValueError:
            return cell
    return cell


def _names(_context: Any, _option: Any, value: str) -> list[str]:
    return [name.strip() for name in value.split(",") if name.strip()]


@click.command(name="import-traces")
@click.argument("source")
@click.option("--from", "origin", required=True, type=click.Choice([*SOURCES]))
@click.option("--inputs", required=True, callback=_names, help="question,context")
@click.option("--outputs", required=True, callback=_names, help="answer")
@click.option("--experiment", default="Default", show_default=True, help="MLflow's.")
@click.option("--to", "target", type=click.Path(path_type=Path), required=True)
@click.option("--review", type=click.Path(path_type=Path), required=True)
def import_traces(
    source: str,
    *,
    origin: str,
    inputs: list[str],
    outputs: list[str],
    experiment: str,
    target: Path,
    review: Path,
) -> None:
    """Write records out of traces: SOURCE is MLflow's URI or a file.

    The first time, the table of --review is written: put "yes" into its column
    `approved` where the outputs are right, correct them where they are not. The same
    command again takes what is approved as references into the records of --to.
    """
    traces = SOURCES[origin](source, experiment)
    records, n_without = records_of(traces, origin, inputs, outputs)
    if review.exists():
        rows = parse_file(f"{review.name}.csv", review.read_bytes())
        table = [row.value for row in rows if row.value is not None]
        records = approve(records, table, outputs)
    else:
        write_whole(review, review_table(records, [*inputs, *outputs]))
    pending = target.with_name(f"{target.stem}.pending.jsonl")
    for path, is_approved in ((target, True), (pending, False)):
        part = [r for r in records if (r[outputs[0]] is not None) is is_approved]
        lines = (json.dumps(r, ensure_ascii=False, default=str) for r in part)
        write_whole(path, "".join(f"{line}\n" for line in lines))
        click.echo(f"{path}: {len(part)} records")
    if n_without:
        click.echo(f"{n_without} traces left out: {listed(inputs)} not in their inputs")
    click.echo(f"{review}: approve or correct, then type the same again")
