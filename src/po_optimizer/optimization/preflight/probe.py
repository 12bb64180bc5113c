"""A few real calls: does the LM answer, what does it read, can it be used."""

from dataclasses import dataclass, field

import dspy
from dspy.utils.exceptions import AdapterParseError

from po_optimizer.lms import MeteredLM, StopRun, use_lm
from po_optimizer.optimization.rendering import characters, rendered
from po_optimizer.roles import Metric
from po_optimizer.score import Score

_CALLS = 3
_PING = [{"role": "user", "content": "Answer with the word ready."}]


@dataclass
class Probe:
    """What a few runs of the student on the valset showed.

    The answers stay in the response cache, where the baseline's evaluation finds them:
    the probe costs nothing twice.

    Args:
        n: Examples run.
        paid: LM calls that were not answered by the cache.
        unusable: Why, for each output that could not be used.
        raw: Text of an unusable output.
        chars_per_token: Of the prompts, by what the LM reported; None: it reported
            nothing, or every answer was cached.
        lost: Why the LM could not be asked; None: it answered.
    """

    n: int = 0
    paid: int = 0
    unusable: list[str] = field(default_factory=list)
    raw: str = ""
    chars_per_token: float | None = None
    lost: str | None = None


def probe(
    student: dspy.Module,
    examples: list[dspy.Example],
    metric: Metric,
    lm: MeteredLM,
    optimization_id: str,
) -> Probe:
    """Runs the student on the first examples, as the baseline's evaluation will."""
    found = Probe()
    before = len(lm.meter.ledger.rows(stage="preflight"))
    sent = 0
    try:
        with use_lm(lm, stage="preflight", optimization_id=optimization_id):
            for example in examples[:_CALLS]:
                _run_one(student, example, metric, found)
            sent = characters(rendered(student, examples[0]))
    except StopRun as stop:
        found.lost = str(stop)
    rows = [r for r in lm.meter.ledger.rows(stage="preflight")[before:] if r.paid]
    found.paid = len(rows)
    read = next((row.prompt_tokens for row in rows if row.prompt_tokens), None)
    found.chars_per_token = sent / read if read and sent else None
    return found


def ping(lm: MeteredLM, optimization_id: str) -> str | None:
    """Why an LM that runs no program yet gives no answer; None: it gave one."""
    try:
        with use_lm(lm, stage="preflight", optimization_id=optimization_id):
            lm(messages=_PING)
    except StopRun as stop:
        return str(stop)
    return None


def tokens_read(
    lm: MeteredLM, messages: list[dict[str, str]], optimization_id: str
) -> int | None:
    """Prompt tokens that the LM reports for these messages; None: not known.

    A server that cuts long prompts without a word gives itself away here.
    """
    before = len(lm.meter.ledger.rows(stage="preflight"))
    with use_lm(lm, stage="preflight", optimization_id=optimization_id):
        lm(messages=messages, max_tokens=1)
    rows = [r for r in lm.meter.ledger.rows(stage="preflight")[before:] if r.paid]
    return rows[-1].prompt_tokens if rows else None


def _run_one(
    student: dspy.Module, example: dspy.Example, metric: Metric, found: Probe
) -> None:
    found.n += 1
    try:
        prediction = student(**example.inputs())
    except AdapterParseError as error:
        found.unusable.append(str(error).split("\n", 1)[0])
        found.raw = error.lm_response
        return
    except Exception as error:  # noqa: BLE001 -- the program's own failure is the finding
        found.unusable.append(f"the program raised {type(error).__name__}: {error}")
        return
    score = Score.of(metric(example, prediction))
    if score.unusable is not None:
        found.unusable.append(score.unusable)
        found.raw = str(prediction)
