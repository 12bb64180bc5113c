"""A few real calls: does the LM answer, what does it read, can it be used."""

import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from logging import getLogger
from typing import Any

import dspy
from dspy.lm15 import request_from_openai_chat
from dspy.utils.exceptions import LMError, LMInvalidRequestError

from po_optimizer.lms.interrupt import Control
from po_optimizer.lms.ledger import CallRow
from po_optimizer.lms.lm import MeteredLM, use_lm
from po_optimizer.lms.stops import BudgetReached, Interrupted, MetricBroken, StopRun
from po_optimizer.lms.visible import first_words
from po_optimizer.optimization.budget import Budget
from po_optimizer.optimization.guarded_metric import Attempt, GuardedMetric, attempt
from po_optimizer.optimization.job import Job
from po_optimizer.optimization.optimizers import make_optimizer
from po_optimizer.optimization.preflight.prompts import (
    Call,
    Messages,
    characters,
    holds_media,
)
from po_optimizer.roles.score import Score

logger = getLogger(__name__)
_RUNS, _MOST_RUNS = 3, 8
_REFUSALS = (400, 422, 500, 501)  # what servers say to a JSON schema they cannot take
_PING = "Answer with the word ready."


@dataclass
class Probe:
    """Results of a few runs of the student on the valset.

    The answers stay in the response cache, where the baseline's evaluation finds them:
    the probe costs nothing twice.

    Args:
        attempts: One for each example run.
        paid: LM calls that were not answered by the cache.
        chars_per_token: Of the prompts, by what the LM reported; None: it reported
            nothing, or every answer was cached.
        lost: Why the LM could not be asked; None: it answered.
        schema_refused: Without a JSON schema it answers, with one it does not.
        broken: Why the metric gave no score; None: it gave one each time.
        calls: LM calls of each run, cached ones included.
        own_seconds: Of each run, beside its LM calls: what the program does itself,
            such as code in a sandbox, and the metric.
        trace: What the predictors were asked and what they answered.
        asks_own: A run asked predictors of the program that ran, as far as is known.
        longest: The longest prompt that was sent.
        varies: The first prompt, asked once more, got another answer; None: it was
            not asked, for every answer was kept already.
    """

    attempts: list[Attempt] = field(default_factory=list)
    paid: int = 0
    chars_per_token: float | None = None
    lost: str | None = None
    schema_refused: bool = False
    broken: str | None = None
    calls: list[int] = field(default_factory=list)
    own_seconds: list[float] = field(default_factory=list)
    trace: list[Call] = field(default_factory=list)
    asks_own: bool = False
    longest: Messages = field(default_factory=list)
    varies: bool | None = None

    def wants_more(self, n_predictors: int) -> bool:
        """Whether to run once more: three runs are enough, eight of an agent."""
        if len(self.attempts) < _RUNS:
            return True
        usable = any(attempt.unusable is None for attempt in self.attempts)
        varied = any(n != n_predictors for n in self.calls)
        return usable and varied and len(self.attempts) < _MOST_RUNS


class Prober:
    """Asks an LM in the stage `preflight`, within the optimization's budget.

    Args:
        job: Whose budget ends the asking when it is reached.
        lm: One of its LMs.
        optimization_id: What all restarts of the optimization share.

    Attributes:
        budget: The optimization's.
    """

    def __init__(self, job: Job, lm: MeteredLM, optimization_id: str) -> None:
        self._job = job
        self._lm = lm
        self.budget = Budget(job.params.budget, job.lms, optimization_id)
        self._before = len(self._rows())
        self._history_start = len(lm.history)

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Records the block's LM calls; ends the block when the budget is used up.

        Raises:
            InterruptedRunError: Ctrl-C.
        """
        identity = self.budget.optimization_id
        try:
            with (
                use_lm(self._lm, stage="preflight", optimization_id=identity),
                Control(self._lm).guarded(self.budget.check),
            ):
                yield
        except BudgetReached as stop:
            logger.info("preflight: %s", stop)
        except Interrupted as stop:
            raise stop.as_error() from stop

    def run(self) -> Probe:
        """Runs the student on the first examples, as the baseline's evaluation will."""
        job, probe, refused = self._job, Probe(), False
        valset = make_optimizer(job.params).choose_valset(job.valset)
        guarded = GuardedMetric(job.metric, lambda: None, lambda stop: None)
        n_predictors = len(job.student.predictors())
        try:
            with self._asking():
                for example in valset[:_MOST_RUNS]:
                    if not probe.wants_more(n_predictors):
                        break
                    self._run_once(example, guarded, probe)
        except MetricBroken as broken:
            probe.broken = str(broken)
        except StopRun as stop:
            probe.lost = str(stop)
            refused = getattr(stop.__cause__, "status", None) in _REFUSALS
        if probe.attempts and not probe.broken:
            refused |= all(attempt.score is None for attempt in probe.attempts)
        probe.paid = sum(row.paid for row in self._rows()[self._before :])
        probe.chars_per_token = self._chars_per_token()
        prompts = [call["messages"] for call in self._history()]
        probe.longest = max(prompts, key=characters, default=[])
        if refused:
            probe.schema_refused = self._answers_without_schema(valset[0])
        elif probe.lost is None and probe.paid:
            probe.varies = self._varies()
        return probe

    def _run_once(
        self, example: dspy.Example, metric: GuardedMetric, probe: Probe
    ) -> None:
        n_rows, n_calls = len(self._rows()), len(self._history())
        n_traced, clock = len(probe.trace), time.monotonic()
        with dspy.context(trace=probe.trace):
            probe.attempts.append(attempt(self._job.student, example, metric))
        ran = probe.attempts[-1].program
        own = (
            {id(predictor) for predictor in ran.predictors()}
            if ran is not None
            else set()
        )
        asked = {id(predictor) for predictor, *_ in probe.trace[n_traced:]}
        probe.asks_own |= ran is None or bool(own & asked)
        # An LM's copies have their own history, a cached call of n answers one row;
        # a predictor with an LM of its own stands in the trace only, and optimizers
        # may run it on this one.
        answers = sum(len(_answers(call)) for call in self._history()[n_calls:])
        traced, rows = len(probe.trace) - n_traced, self._rows()[n_rows:]
        probe.calls.append(max(answers, len(rows), traced))
        seconds, n = time.monotonic() - clock, len(probe.attempts)
        of_calls = sum(row.seconds for row in rows)
        probe.own_seconds.append(max(0.0, seconds - of_calls))
        logger.debug("preflight: %s, example %d, %.1f s", self._lm.slug, n, seconds)

    def _chars_per_token(self) -> float | None:
        """Characters per token over all prompts without media, as the LM counted them.

        An answer of the response cache holds what was said when it was paid for, so
        that a preflight that refused refuses again.
        """
        reported = [
            (characters(call["messages"]), tokens)
            for call in self._history()
            if not holds_media(call["messages"])
            if (tokens := _prompt_tokens(_answers(call)[0]))
        ]
        if not reported:
            return None
        return sum(n for n, _ in reported) / sum(tokens for _, tokens in reported)

    def _varies(self) -> bool | None:
        """Whether the LM gives another answer when it is asked the same again."""
        first = next(iter(self._history()), None)
        if first is None:  # an LM of one's own was asked
            return None
        outputs = None
        try:
            with self._asking(), warnings.catch_warnings():
                # the very call again: DSPy will have requests from 3.5 on
                warnings.simplefilter("ignore", DeprecationWarning)
                cache = {"cache": False} if self._asks_by_requests else {}
                outputs = self._call(
                    messages=first["messages"], **cache, **first["kwargs"]
                )
        except (StopRun, LMError):
            return None
        return None if outputs is None else bool(outputs != first["outputs"])

    def _answers_without_schema(self, example: dspy.Example) -> bool:
        """Whether the student runs if the LM is asked for plain JSON only."""
        engine: Any = getattr(self._lm, "engine", None)  # a class of one's own has none
        if not getattr(engine, "supports_response_schema", False):
            return False
        engine.supports_response_schema = False
        answered = False
        try:
            with self._asking():
                outcome = attempt(self._job.student, example, lambda *_: Score(0.0))
                answered = outcome.score is not None
        except StopRun:
            return False
        finally:
            engine.supports_response_schema = True
        return answered

    def ping(self) -> str | None:
        """Asks for one word. Returns why there was no answer; None: there was one."""
        try:
            with self._asking():
                self._call(_PING)
        except StopRun as stop:
            return str(stop)
        except LMError as error:
            return self.refusal(error)
        return None

    def tokens_read(self, messages: Messages, *, cache: bool = True) -> int | None:
        """Prompt tokens that the LM reports for these messages; None: not known.

        A server that cuts long prompts without a word gives itself away here.
        """
        response = None
        with self._asking():
            try:
                response = self._ask(messages, max_tokens=1, cache=cache)
            except LMInvalidRequestError:  # maybe of so short an answer
                response = self._ask(messages, max_tokens=None, cache=cache)
            except ValueError:  # half a character is in it, which DSPy sends to no LM
                return None
        return _prompt_tokens(response) or None

    def _ask(self, messages: Messages, *, max_tokens: int | None, cache: bool) -> Any:
        """Makes one call, through the interface that the LM's class has."""
        lm, settings = self._lm, self._lm.kwargs
        if not self._asks_by_requests:
            calls = self._history()
            if not calls:  # its class leaves DSPy's way, and reports nothing
                return None
            self._call(messages=messages, **calls[0]["kwargs"])
            return _answers(lm.history[-1])[0]
        most = max_tokens or settings.get("max_tokens")
        body = {"model": lm.model, "messages": messages, "max_tokens": most}
        body["temperature"] = settings.get("temperature")
        fields = {name: value for name, value in body.items() if value is not None}
        return lm(request_from_openai_chat(fields), cache=cache)

    @property
    def _asks_by_requests(self) -> bool:
        """Whether DSPy asks the LM, and no method of a user's class, for a chat."""
        by_dspy = type(self._lm).forward is dspy.LM.forward
        return by_dspy and self._lm.model_type != "text"

    def _call(self, *args: Any, **kwargs: Any) -> Any:
        """The outputs of a call; whatever a user's class raises is an LMError."""
        try:
            return self._lm(*args, **kwargs)
        except LMError:
            raise
        except Exception as error:
            raise LMError(f"{type(error).__name__}: {error}") from error

    def refusal(self, error: LMError) -> str:
        """Describes an error of the server as a refused prompt."""
        words = first_words(error, 300)
        return f"{self._lm.slug} refuses the prompt: {words}"

    def _rows(self) -> list[CallRow]:
        meter = self._lm.meter  # other runs may write to the same ledger meanwhile
        return meter.ledger.rows(run_id=meter.run_id, stage="preflight")

    def _history(self) -> list[dict[str, Any]]:
        """This probe's calls; a prompt that was a text is the message that was sent."""
        return [
            {**call, "messages": [{"role": "user", "content": call["prompt"]}]}
            if call["messages"] is None
            else call
            for call in self._lm.history[self._history_start :]
        ]


def _answers(call: dict[str, Any]) -> Sequence[Any]:
    """The responses to one call of a DSPy LM: several if it asked for n."""
    response = call["response"]
    return response if isinstance(response, tuple | list) else [response]


def _prompt_tokens(answer: Any) -> int:
    """The prompt tokens that an answer reports; 0: none."""
    usage = getattr(answer, "usage", None)
    names = ("input_tokens", "prompt_tokens")  # DSPy's word, and OpenAI's
    return next((n for name in names if (n := getattr(usage, name, None))), 0)
