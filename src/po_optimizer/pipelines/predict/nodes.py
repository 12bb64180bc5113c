"""Nodes of predict: choose the program, answer a table of inputs with it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from logging import getLogger
from typing import Any

import dspy

from po_optimizer.console.live import watch
from po_optimizer.errors import SettingError, listed
from po_optimizer.evaluation.predict import predict_all, unjudged
from po_optimizer.lms.lm import MeteredLM
from po_optimizer.params.project import FeaturesParams, RoleParams
from po_optimizer.persistence import extract_program_components, get_provenance
from po_optimizer.records.reading import Table, read_table
from po_optimizer.roles.build import make_program
from po_optimizer.roles.record import input_columns

logger = getLogger(__name__)


def choose_program(
    promotion: dict[str, Any] | None,
    champion_program: dspy.Module | None,
    role: RoleParams,
    features: FeaturesParams,
    task_lm: MeteredLM,
) -> tuple[dspy.Module, dict[str, Any]]:
    """The promoted program if the switch allows it, else the baseline; and why."""
    if champion_program is not None and features.use_dspy_product_owner:
        program, used, reason = champion_program, "optimized", "it is the promoted one"
    else:
        program, used = make_program(role, task_lm), "baseline"
        reason = _reason_for_the_baseline(promotion, features)
    provenance = get_provenance(program) if used == "optimized" else {}
    return program, {"program": used, "reason": reason, "provenance": provenance}


def answer_inputs(
    chosen_program: dspy.Module,
    choice: dict[str, Any],
    prediction_inputs: Any,
    task_lm: MeteredLM,
    role: RoleParams,
) -> Iterator[dict[str, Any]]:
    """An answer for each row, with what it was made of; made while they are saved.

    A row on which the program fails has a reason in place of outputs.
    """
    columns = input_columns(role)
    if prediction_inputs is None:
        raise SettingError(
            "predict.inputs",
            None,
            "no file of inputs is named",
            "Name one, as in --params predict.inputs=rows.csv: a column for each of "
            f"{', '.join(columns)}.",
        )
    table = read_table(prediction_inputs, "predict.inputs")
    rows = list(_usable_rows(table))
    required = [name for name, is_required in columns.items() if is_required]
    _check_columns(rows, required, table.source)
    program = extract_program_components(chosen_program)["fingerprint"]
    origin = {"program": choice["program"], "fingerprint": program, "lm": task_lm.slug}
    predictions = predict_all(
        chosen_program,
        (_example(row, columns) for row in rows),
        unjudged,
        task_lm,
        stage="predict",
        n=len(rows),
    )
    watched = watch(predictions, "predict", len(rows))
    return (
        {
            "inputs": row,
            "outputs": prediction.outputs,
            "status": "ok" if prediction.status == "ok" else "failed",
            "reason": prediction.reason,
            **origin,
        }
        for row, prediction in zip(rows, watched, strict=True)
    )


def report_answers(
    answers: Iterable[Mapping[str, Any]], choice: dict[str, Any], task_lm: MeteredLM
) -> dict[str, Any]:
    """Which program answered how many rows, and what that took."""
    counts = Counter(answer["status"] for answer in answers)
    meter = task_lm.meter
    usage = meter.ledger.totals(run_id=meter.run_id, stage="predict")
    return {
        **choice,
        "lm": task_lm.slug,
        "n": counts.total(),
        "n_failed": counts["failed"],
        "usage": usage.model_dump(),
    }


def _usable_rows(table: Table) -> Iterator[dict[str, Any]]:
    for row in table.rows:
        if row.problem or not isinstance(row.value, Mapping):
            problem = row.problem or "a row with columns is wanted"
            logger.warning(
                "%s, line %d has no answer: %s", table.source, row.line, problem
            )
        else:
            yield dict(row.value)


def _check_columns(
    rows: list[dict[str, Any]], columns: Iterable[str], source: str
) -> None:
    """Checks that the rows have what the program needs.

    Raises:
        SettingError: There is no row, or a column that it needs is in none.
    """
    if not rows:
        remedy = "Give a table with a row for each answer that is wanted."
        raise SettingError("predict.inputs", source, "no row of it is usable", remedy)
    there = dict.fromkeys(name for row in rows for name in row)
    if missing := [name for name in columns if name not in there]:
        problem = f"it has no column {listed(missing)}, only {listed(there)}"
        remedy = "Name the columns as role.inputs does."
        raise SettingError("predict.inputs", source, problem, remedy)


def _example(row: Mapping[str, Any], columns: Iterable[str]) -> dspy.Example:
    return dspy.Example(dict(row)).with_inputs(
        *(name for name in columns if name in row)
    )


def _reason_for_the_baseline(
    promotion: dict[str, Any] | None, features: FeaturesParams
) -> str:
    """Why the promoted program may not run, or that there is none."""
    if not features.use_dspy_product_owner:
        return "features.use_dspy_product_owner is off"
    if promotion is None:
        return "no optimized program has been evaluated on this LM"
    first = next(iter(promotion["reasons"]), "")
    return f"no program is promoted ({promotion['decision']}: {first})"
