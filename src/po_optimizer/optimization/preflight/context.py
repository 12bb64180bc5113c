"""Whether the longest prompt that a run can make fits the context window."""

from collections.abc import Iterator
from dataclasses import dataclass

import dspy
from dspy.utils.exceptions import LMError

from po_optimizer.lms import Interrupted, StopRun, use_lm
from po_optimizer.lms.check import Check, check
from po_optimizer.optimization.job import Job
from po_optimizer.optimization.optimizers import Optimizer, make_optimizer
from po_optimizer.optimization.preflight.probe import Probe, Prober
from po_optimizer.optimization.preflight.prompts import (
    Messages,
    characters,
    holds_media,
    longest_call,
    rendered,
)

_ASSUMED_CHARS_PER_TOKEN = 4.0
_IMPLAUSIBLE_CHARS_PER_TOKEN = 9.0
_READ_AT_LEAST = 0.8


@dataclass(frozen=True)
class ContextChecks:
    """The checks on both LMs' context windows.

    Args:
        others: Examples beside the trainset's that the program may be run on.
        probe: How many characters make a token.
    """

    job: Job
    others: list[dspy.Example]
    probe: Probe

    @property
    def _optimizer(self) -> Optimizer:
        return make_optimizer(self.job.params)

    @property
    def _per_token(self) -> float:
        return self.probe.chars_per_token or _ASSUMED_CHARS_PER_TOKEN

    def make(self, optimization_id: str) -> Iterator[Check]:
        """Each check; the last one may ask the task LM once."""
        job = self.job
        with use_lm(job.task_lm, stage="preflight"):
            longest = self._longest_messages()
        window = self._task_window(longest)
        yield self._reads_plausibly()
        yield window
        yield from self._prompt_windows()
        asked = self.probe.lost is None and not holds_media(longest)
        if asked and window.passed and job.task_lm.provider.cuts_silently:
            yield self._reads_it_all(longest, Prober(job.task_lm, optimization_id))

    def _reads_plausibly(self) -> Check:
        ratio = self.probe.chars_per_token
        return check(
            "lm_reads_prompt",
            "lm.context_tokens",
            None if ratio is None else round(ratio, 2),
            f"at most {_IMPLAUSIBLE_CHARS_PER_TOKEN} characters per prompt token",
            passed=ratio is None or ratio <= _IMPLAUSIBLE_CHARS_PER_TOKEN,
            remedy="The server seems to cut prompts: raise its context, and move "
            f"{self.job.task_lm.cache_folder} away, for the answers in it were made "
            "from cut prompts.",
        )

    def _task_window(self, longest: Messages) -> Check:
        optimizer, params = self._optimizer, self.job.task_lm.params
        demos = optimizer.max_demos()
        prompt = round(characters([longest]) / self._per_token)
        written = self.job.prompt_lm.params.max_tokens
        proposed = written if optimizer.proposes else 0
        needed = prompt + proposed + params.max_tokens
        return check(
            "task_lm_context",
            "lm.context_tokens",
            params.context_tokens,
            f"{needed} or more: longest prompt with {demos} demos {prompt}, proposed "
            f"instructions {proposed}, answer (lm.max_tokens) {params.max_tokens}",
            passed=needed <= params.context_tokens,
            remedy="Raise it if the LM can, or lower max_labeled_demos, "
            "max_bootstrapped_demos or lm.max_tokens.",
        )

    def _prompt_windows(self) -> Iterator[Check]:
        job, params = self.job, self.job.prompt_lm.params
        lengths = self._optimizer.prompt_lm_characters(job.student, job.trainset)
        for setting, chars in lengths.items():
            prompt = round(chars / self._per_token)
            yield check(
                f"prompt_lm_context ({setting.rsplit('.', 1)[-1]})",
                setting,
                {"prompt_tokens": prompt, "answer_tokens": params.max_tokens},
                f"together at most context_tokens={params.context_tokens}",
                passed=prompt + params.max_tokens <= params.context_tokens,
                remedy="Lower it, switch it off, or raise context_tokens.",
            )

    def _reads_it_all(self, longest: Messages, prober: Prober) -> Check:
        expected = characters([longest]) / self._per_token

        def enough(read: int | None) -> bool:
            return read is None or read >= _READ_AT_LEAST * expected

        read, lost = None, ""
        try:
            read = prober.tokens_read(longest)
            if not enough(read):  # a kept answer may be of before the server was mended
                read = prober.tokens_read(longest, cache=False)
        except Interrupted as stop:
            raise stop.as_error() from stop
        except StopRun as stop:
            lost = str(stop)
        except LMError as error:
            lost = f"{prober.refusal(error)}. Shorten the examples, or lower the demos."
        return check(
            "lm_reads_longest_prompt",
            "lm.context_tokens",
            read,
            f"about {expected:.0f} prompt tokens reported for the longest prompt",
            passed=not lost and enough(read),
            remedy=lost or "The server cuts long prompts: raise its context.",
        )

    def _longest_messages(self) -> Messages:
        """The longest prompt: of the probe, or with the longest examples as demos.

        Bootstrapped demos hold the LM's own answers; the references stand in for
        them, and the probe's answers for what has no reference.
        """
        job, probe = self.job, self.probe
        program, n_demos = job.student.deepcopy(), self._optimizer.max_demos()
        longest = sorted(job.trainset, key=_length, reverse=True)[:n_demos]
        for predictor in program.predictors() if n_demos else []:
            call = longest_call(predictor, probe.trace)
            predictor.demos = [dspy.Example({**call, **dict(e)}) for e in longest]
        example = max([*job.trainset, *self.others], key=_length)
        prompts = rendered(program, example, probe.trace)
        return max([probe.longest, *prompts], key=lambda prompt: characters([prompt]))


def _length(example: dspy.Example) -> int:
    return sum(len(repr(value)) for value in example.inputs().values())
