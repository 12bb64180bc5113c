"""`po-optimizer import-traces`: records out of what a program did in use.

A trace's inputs and outputs become a record with its origin. What a program answered
is no reference: a person approves or corrects it in a CSV first.
"""

import csv
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import click

from po_optimizer.errors import PoOptimizerError, SettingError, listed
from po_optimizer.files import write_whole
from po_optimizer.integrations.traces.sources import SOURCES, Trace, rows_of_file

_APPROVED, _RECORD = "approved", "record"
_YES = {"yes", "y", "true", "1", "x"}
_TAKEN = {_APPROVED, _RECORD, "answered", "origin"}
_NESTED = ("kwargs", "inputs", "input", "args", "outputs", "output")


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
        inner = [payload[key] for key in _NESTED if payload.get(key)]
        if len(payload) > 1:  # a text among others is no value of a name
            inner = [part for part in inner if not isinstance(part, str)]
        parts = (fields_of(part, names) for part in inner)
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


def read_review(review: Path, names: Sequence[str]) -> list[dict[str, str]]:
    """The rows of the table in which a person approves; [] if there is none yet.

    Raises:
        PoOptimizerError: It cannot be read, or lacks a column.
    """
    rows = rows_of_file("--review", review, "csv") if review.exists() else []
    for row in rows[:1]:
        if missing := [n for n in (_APPROVED, _RECORD, *names) if n not in row]:
            raise PoOptimizerError(
                f"--review={str(review)!r} has no column {listed(missing)}; there are "
                f"{listed(row)}. Move it away, and type the same again for a new one."
            )
    return rows


def review_row(
    key: str, record: Mapping[str, Any], names: Sequence[str]
) -> dict[str, str]:
    """What a person is shown of a record, to say yes to or to correct."""
    given = {k: v for k, v in record.items() if v is not None}
    values = {**(record["answered"] or {}), **given}
    return {_RECORD: key, **{name: _cell(values.get(name)) for name in names}}


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


def _is_approved(row: Mapping[str, str]) -> bool:
    return row[_APPROVED].strip().lower() in _YES


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
    names = [*inputs, *outputs]
    rows = read_review(review, names)
    approved = {row[_RECORD]: row for row in rows if _is_approved(row)}
    used = [approved[key] for key in approved.keys() & records.keys()]
    for row in used:
        records[row[_RECORD]].update({name: _value(row[name]) for name in outputs})
    new = records.keys() - {row[_RECORD] for row in rows}
    if new:
        rows += [review_row(k, r, names) for k, r in records.items() if k in new]
        table = StringIO(newline="")
        writer = csv.DictWriter(table, {_APPROVED: "", _RECORD: "", **rows[0]})
        writer.writeheader()
        writer.writerows(rows)
        _write(review, table.getvalue())
    pending = target.with_name(f"{target.stem}.pending.jsonl")
    for path, is_approved in ((target, True), (pending, False)):
        part = [r for k, r in records.items() if (k in approved) is is_approved]
        lines = (json.dumps(r, ensure_ascii=False, default=str) for r in part)
        _write(path, "".join(f"{line}\n" for line in lines))
        click.echo(f"{path}: {len(part)} records")
    if n_empty := sum(not all(row[name] for name in outputs) for row in used):
        click.echo(f"approved with an empty output, which is its reference: {n_empty}")
    if n_without:
        click.echo(f"left out, without the inputs {listed(inputs)}: {n_without}")
    click.echo(f"{review}: approve or correct, then type the same again")


def _write(path: Path, text: str) -> None:
    """Half of a surrogate pair becomes its escape, which is JSON, too."""
    write_whole(path, text.encode("utf-8", "backslashreplace"))
