"""Whether the longest prompt that a run can make fits the context window."""

from collections.abc import Iterator, Sequence

import dspy
from dspy.utils.exceptions import LMError

from po_optimizer.lms.check import Check, check
from po_optimizer.lms.lm import use_lm
from po_optimizer.lms.stops import StopRun
from po_optimizer.optimization.job import Job
from po_optimizer.optimization.optimizers import make_optimizer
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
_SETTING = "lm.context_tokens"


def check_context(
    job: Job, testset: Sequence[dspy.Example], probe: Probe, prober: Prober
) -> Iterator[Check]:
    """The checks on both LMs' context windows; the last may ask the task LM once.

    Args:
        job: The optimization.
        testset: Its examples are answered later, too.
        probe: How many characters make a token, and what was asked.
        prober: Asks the task LM.
    """
    with use_lm(job.task_lm, stage="preflight"):
        longest = _longest_prompt(job, testset, probe)
    per_token = probe.chars_per_token or _ASSUMED_CHARS_PER_TOKEN
    window = _check_task_window(job, characters(longest) / per_token)
    yield _check_ratio(job, probe.chars_per_token)
    yield window
    yield from _check_prompt_windows(job, per_token)
    answers = probe.lost is None and not holds_media(longest)
    if answers and window.passed and job.task_lm.provider.cuts_silently:
        yield _check_reading(longest, prober, characters(longest) / per_token)


def _check_ratio(job: Job, ratio: float | None) -> Check:
    return check(
        "lm_reads_prompt",
        _SETTING,
        None if ratio is None else round(ratio, 2),
        f"at most {_IMPLAUSIBLE_CHARS_PER_TOKEN} characters per prompt token",
        passed=ratio is None or ratio <= _IMPLAUSIBLE_CHARS_PER_TOKEN,
        remedy="The server seems to cut prompts: raise its context, and move "
        f"{job.task_lm.cache_folder} away, for the answers in it were made from cut "
        "prompts.",
    )


def _check_task_window(job: Job, tokens: float) -> Check:
    optimizer, params = make_optimizer(job.params), job.task_lm.params
    prompt = round(tokens)
    proposed = job.prompt_lm.params.max_tokens if optimizer.proposes else 0
    needed = prompt + proposed + params.max_tokens
    return check(
        "task_lm_context",
        _SETTING,
        params.context_tokens,
        f"{needed} or more: longest prompt with {optimizer.max_demos()} demos "
        f"{prompt}, proposed instructions {proposed}, answer (lm.max_tokens) "
        f"{params.max_tokens}",
        passed=needed <= params.context_tokens,
        remedy="Raise it if the LM can, or lower max_labeled_demos, "
        "max_bootstrapped_demos or lm.max_tokens.",
    )


def _check_prompt_windows(job: Job, per_token: float) -> Iterator[Check]:
    optimizer, params = make_optimizer(job.params), job.prompt_lm.params
    lengths = optimizer.prompt_lm_characters(job.student, job.trainset)
    for setting, length in lengths.items():
        prompt = round(length / per_token)
        yield check(
            f"prompt_lm_context ({setting.rsplit('.', 1)[-1]})",
            setting,
            {"prompt_tokens": prompt, "answer_tokens": params.max_tokens},
            f"together at most context_tokens={params.context_tokens}",
            passed=prompt + params.max_tokens <= params.context_tokens,
            remedy="Lower it, switch it off, or raise context_tokens.",
        )


def _check_reading(longest: Messages, prober: Prober, expected: float) -> Check:
    """Whether the LM says that it read about as many tokens as were sent."""

    def enough(read: int | None) -> bool:
        return read is None or read >= _READ_AT_LEAST * expected

    read, lost = None, ""
    try:
        read = prober.tokens_read(longest)
        if not enough(read):  # a kept answer may be of before the server was mended
            read = prober.tokens_read(longest, cache=False)
    except StopRun as stop:
        lost = str(stop)
    except LMError as error:
        lost = f"{prober.refusal(error)}. Shorten the examples, or lower the demos."
    return check(
        "lm_reads_longest_prompt",
        _SETTING,
        read,
        f"about {expected:.0f} prompt tokens reported for the longest prompt",
        passed=not lost and enough(read),
        remedy=lost or "The server cuts long prompts: raise its context.",
    )


def _longest_prompt(
    job: Job, testset: Sequence[dspy.Example], probe: Probe
) -> Messages:
    """The longest prompt: of the probe, or with the longest examples as demos.

    Bootstrapped demos hold the LM's own answers; the references stand in for
    them, and the probe's answers for what has no reference.
    """
    program, n_demos = job.student.deepcopy(), make_optimizer(job.params).max_demos()
    demos = sorted(job.trainset, key=_length, reverse=True)[:n_demos]
    for predictor in program.predictors() if n_demos else []:
        call = longest_call(predictor, probe.trace)
        predictor.demos = [dspy.Example({**call, **dict(e)}) for e in demos]
    example = max([*job.trainset, *job.valset, *testset], key=_length)
    prompts = rendered(program, example, probe.trace)
    return max([probe.longest, *prompts], key=characters)


def _length(example: dspy.Example) -> int:
    return sum(len(repr(value)) for value in example.inputs().values())
