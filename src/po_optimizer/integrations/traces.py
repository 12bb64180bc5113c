"""`po-optimizer import-traces`: records out of what a program did in use.

A trace's inputs and outputs become a record with its origin. What a program answered
is no reference: a person approves or corrects it in a CSV first.
"""

import csv
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import click

from po_optimizer.errors import PoOptimizerError, SettingError, listed, needs_extra
from po_optimizer.files import write_whole
from po_optimizer.records.reading import parse_file

_APPROVED, _RECORD = "approved", "record"
_YES = {"yes", "y", "true", "1", "x"}
_TAKEN = {_APPROVED, _RECORD, "answered", "origin"}
_NESTED = ("kwargs", "inputs", "input", "args")
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


def from_langfuse(source: str, _experiment: str) -> Iterator[Trace]:
    """The traces of Langfuse's JSON export: an array, `{"data": [...]}` or lines."""
    for document in _documents(source):
        for entry in _mappings(document, "data") if "data" in document else [document]:
            yield Trace(
                str(entry.get("id") or ""),
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
    return value


def _mappings(node: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """The mappings in a list of another tool's document; [] if it is no list."""
    parts = node.get(name)
    return [p for p in parts if isinstance(p, Mapping)] if type(parts) is list else []


def _documents(source: str) -> list[dict[str, Any]]:
    """The JSON mappings of a file, an array's apart."""
    values = _rows("SOURCE", Path(source), "json")
    return [value for value in values if isinstance(value, dict)]


def _rows(setting: str, path: Path, kind: str) -> list[Any]:
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
    if broken := next((row for row in rows if row.problem), None):
        raise PoOptimizerError(f"{path}, line {broken.line}: {broken.problem}")
    return [row.value for row in rows]


SOURCES: dict[str, Callable[[str, str], Iterator[Trace]]] = {
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
        except (ValueError, RecursionError):
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
) -> tuple[dict[str, dict[str, Any]], int]:
    """A record for each trace with other inputs, and how many traces had none.

    A record's key is made of its inputs: the same question, asked again later, has it,
    too. What was answered stands in `answered`; the references are None.
    """
    records: dict[str, dict[str, Any]] = {}
    n_without = 0
    for trace in traces:
        given = fields_of(trace.inputs, inputs)
        if given is None:
            n_without += 1
            continue
        text = json.dumps(given, sort_keys=True, default=str)
        record = {
            **given,
            **dict.fromkeys(outputs),
            "answered": fields_of(trace.outputs, outputs),
            "origin": {"source": origin, "trace": trace.id, "time": trace.time},
        }
        records.setdefault(f"r{hashlib.sha256(text.encode()).hexdigest()[:12]}", record)
    return records, n_without


def add_to_review(
    review: Path, records: Mapping[str, Mapping[str, Any]], names: Sequence[str]
) -> None:
    """Adds records to the CSV in which a person says yes, or corrects an answer."""
    earlier = _rows("--review", review, "csv") if review.exists() else []
    text = StringIO()
    columns = list(earlier[0]) if earlier else [_APPROVED, _RECORD, *names]
    writer = csv.DictWriter(text, columns)
    if not earlier:
        writer.writeheader()
    for key, record in records.items():
        given = {k: v for k, v in record.items() if v is not None}
        values = {**(record["answered"] or {}), **given}
        cells = {name: _cell(values.get(name)) for name in names}
        writer.writerow({_RECORD: key, **cells})
    before = review.read_bytes().decode("utf-8-sig") if earlier else ""
    if before and not before.endswith("\n"):
        before += "\r\n"
    _write(review, before + text.getvalue())


def approve(
    records: Mapping[str, dict[str, Any]], review: Path, outputs: Sequence[str]
) -> dict[str, bool]:
    """Takes the references that the table approves into the records.

    Returns:
        For each record of the table whether it is approved.

    Raises:
        PoOptimizerError: The table cannot be read, or lacks a column.
    """
    reviewed = {}
    for row in _rows("--review", review, "csv"):
        if missing := [n for n in (_APPROVED, _RECORD, *outputs) if n not in row]:
            raise PoOptimizerError(
                f"--review={str(review)!r} has no column {listed(missing)}; there are "
                f"{listed(row)}. Move it away, and type the same again for a new one."
            )
        key = row[_RECORD]
        reviewed[key] = row[_APPROVED].strip().lower() in _YES
        if reviewed[key] and (record := records.get(key)):
            record |= {name: _value(row[name]) for name in outputs}
    return reviewed


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


def _check_names(inputs: Sequence[str], outputs: Sequence[str]) -> None:
    names = [*inputs, *outputs]
    wrong = {name for name in names if name in _TAKEN or names.count(name) > 1}
    if wrong or not inputs or not outputs:
        raise SettingError(
            "--inputs, --outputs",
            f"{listed(inputs)} -> {listed(outputs)}",
            f"one or more of each, every name once, none of {listed(sorted(_TAKEN))}",
            "Give them as in --inputs question,context --outputs answer.",
        )


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
    command again takes what is approved as references into the records of --to, and
    adds new traces to the table.
    """
    _check_names(inputs, outputs)
    traces = SOURCES[origin](source, experiment)
    records, n_without = records_of(traces, origin, inputs, outputs)
    if not records:
        raise PoOptimizerError(
            f"SOURCE={source!r} cannot be used: of its {n_without} traces of {origin} "
            f"none has the inputs {listed(inputs)}. Name another --from, or other "
            "--inputs."
        )
    reviewed = approve(records, review, outputs) if review.exists() else {}
    if new := {k: record for k, record in records.items() if k not in reviewed}:
        add_to_review(review, new, [*inputs, *outputs])
    pending = target.with_name(f"{target.stem}.pending.jsonl")
    for path, is_approved in ((target, True), (pending, False)):
        part = [r for k, r in records.items() if reviewed.get(k, False) is is_approved]
        lines = (json.dumps(r, ensure_ascii=False, default=str) for r in part)
        _write(path, "".join(f"{line}\n" for line in lines))
        click.echo(f"{path}: {len(part)} records")
    if n_without:
        click.echo(f"{n_without} traces left out: {listed(inputs)} not in their inputs")
    click.echo(f"{review}: approve or correct, then type the same again")


def _write(path: Path, text: str) -> None:
    """Half of a surrogate pair becomes its escape, which is JSON, too."""
    write_whole(path, text.encode("utf-8", "backslashreplace"))
