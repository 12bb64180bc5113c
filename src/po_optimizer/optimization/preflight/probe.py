"""A few real calls: does the LM answer, what does it read, can it be used."""

import time
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from logging import getLogger

import dspy

from po_optimizer.lms import CallRow, MeteredLM, StopRun, use_lm
from po_optimizer.optimization.attempt import Attempt, attempt
from po_optimizer.optimization.metric import GuardedMetric
from po_optimizer.optimization.rendering import Messages, characters
from po_optimizer.optimization.stops import MetricBroken
from po_optimizer.roles import Metric

_log = getLogger(__name__)

_CALLS = 3
_PING = [{"role": "user", "content": "Answer with the word ready."}]


@dataclass
class Probe:
    """What a few runs of the student on the valset showed.

    The answers stay in the response cache, where the baseline's evaluation finds them:
    the probe costs nothing twice.

    Args:
        attempts: One for each example run.
        paid: LM calls that were not answered by the cache.
        chars_per_token: Of the prompts, by what the LM reported; None: it reported
            nothing, or every answer was cached.
        lost: Why the LM could not be asked; None: it answered.
        broken: Why the metric gave no score; None: it gave one each time.
    """

    attempts: list[Attempt] = field(default_factory=list)
    paid: int = 0
    chars_per_token: float | None = None
    lost: str | None = None
    broken: str | None = None


class Prober:
    """Asks an LM in the stage `preflight`, for one optimization's account."""

    def __init__(self, lm: MeteredLM, optimization_id: str) -> None:
        self._lm = lm
        self._id = optimization_id
        self._before = len(self._rows())
        self._heard = len(lm.history)

    def run(
        self, student: dspy.Module, examples: list[dspy.Example], metric: Metric
    ) -> Probe:
        """Runs the student on the first examples, as the baseline's evaluation will."""
        found = Probe()
        guarded = GuardedMetric(metric, lambda: None, lambda stop: None)
        try:
            with self._asking():
                asked = examples[:_CALLS]
                _log.info(
                    "preflight: %s is asked %d examples", self._lm.slug, len(asked)
                )
                for number, example in enumerate(asked, start=1):
                    clock = time.monotonic()
                    found.attempts.append(attempt(student, example, guarded))
                    took = time.monotonic() - clock
                    _log.info("preflight: %d of %d, %.1f s", number, len(asked), took)
        except MetricBroken as broken:
            found.broken = str(broken)
        except StopRun as stop:
            found.lost = str(stop)
        found.paid = self._paid()
        read = self._read()
        if read:
            sent = sum(characters([prompt]) for prompt, _ in read)
            found.chars_per_token = sent / sum(tokens for _, tokens in read)
        return found

    def ping(self) -> str | None:
        """Why the LM gives no answer; None: it gave one."""
        try:
            with self._asking():
                self._lm(messages=_PING)
        except StopRun as stop:
            return str(stop)
        return None

    def tokens_read(self, messages: Messages) -> int | None:
        """Prompt tokens that the LM reports for these messages; None: not known.

        A server that cuts long prompts without a word gives itself away here.
        """
        with self._asking():
            self._lm(messages=messages, max_tokens=1)
        return next((read for prompt, read in self._read() if prompt == messages), None)

    def _asking(self) -> AbstractContextManager[None]:
        return use_lm(self._lm, stage="preflight", optimization_id=self._id)

    def _rows(self) -> list[CallRow]:
        meter = self._lm.meter  # other runs may write to the same ledger meanwhile
        return meter.ledger.rows(run_id=meter.run_id, stage="preflight")

    def _paid(self) -> int:
        return sum(row.paid for row in self._rows()[self._before :])

    def _read(self) -> list[tuple[Messages, int]]:
        """Each prompt that was sent, with the tokens that the LM says it read.

        An answer of the response cache reports none.
        """
        said = self._lm.history[self._heard :]
        read = [(call["messages"], call["usage"].get("prompt_tokens")) for call in said]
        return [(messages, tokens) for messages, tokens in read if tokens]
