"""Whether the longest prompt that a run can make fits the context window."""

from dataclasses import dataclass

import dspy

from po_optimizer.lms import MeteredLM, StopRun, use_lm
from po_optimizer.optimization.checks import Check
from po_optimizer.optimization.optimizers import DemoCounts, Optimizer
from po_optimizer.optimization.preflight.probe import Probe, tokens_read
from po_optimizer.optimization.rendering import Messages, characters, rendered

_ASSUMED_CHARS_PER_TOKEN = 4.0
_IMPLAUSIBLE_CHARS_PER_TOKEN = 9.0
_READ_AT_LEAST = 0.8
_CUTS_SILENTLY = ("ollama", "openai")


@dataclass(frozen=True)
class Material:
    """What prompts are made of."""

    student: dspy.Module
    trainset: list[dspy.Example]
    others: list[dspy.Example]


def context_checks(
    material: Material,
    optimizer: Optimizer,
    task_lm: MeteredLM,
    prompt_lm: MeteredLM,
    found: Probe,
    *,
    optimization_id: str,
) -> list[Check]:
    """The checks on both LMs' context windows."""
    per_token = found.chars_per_token or _ASSUMED_CHARS_PER_TOKEN
    with use_lm(task_lm, stage="preflight"):
        longest = longest_messages(material, optimizer.demo_counts())
    proposes = bool(optimizer.prompt_lm_characters(material.student, material.trainset))
    allowance = prompt_lm.params.max_tokens if proposes else 0
    checks = [
        _reads_plausibly(found),
        _task_window(longest, per_token, allowance, optimizer.demo_counts(), task_lm),
        *_prompt_windows(material, optimizer, prompt_lm, per_token),
    ]
    asked = found.paid and found.lost is None
    if asked and checks[1].passed and task_lm.params.provider in _CUTS_SILENTLY:
        expected = characters([longest]) / per_token
        checks.append(_reads_it_all(task_lm, longest, expected, optimization_id))
    return checks


def longest_messages(material: Material, counts: DemoCounts) -> Messages:
    """The longest prompt of the student, with the longest examples as demos.

    Bootstrapped demos hold the LM's own answers; the references stand in for them.
    """
    by_length = sorted(material.trainset, key=_length, reverse=True)
    program = material.student.deepcopy()
    wanted = max(counts.bootstrapped, counts.labeled)
    for predictor in program.predictors():
        if wanted:
            predictor.demos = by_length[:wanted]
    example = max([*material.trainset, *material.others], key=_length)
    return max(rendered(program, example), key=lambda prompt: characters([prompt]))


def _length(example: dspy.Example) -> int:
    return sum(len(str(value)) for value in example.inputs().values())


def _reads_plausibly(found: Probe) -> Check:
    per_token = found.chars_per_token
    passed = per_token is None or per_token <= _IMPLAUSIBLE_CHARS_PER_TOKEN
    return Check(
        name="lm_reads_prompt",
        setting="lm.context_tokens",
        value=None if per_token is None else round(per_token, 2),
        allowed=f"at most {_IMPLAUSIBLE_CHARS_PER_TOKEN} characters per prompt token",
        passed=passed,
        message="not reported, or answered by the cache"
        if per_token is None
        else ("" if passed else "The server seems to cut prompts: raise its context."),
    )


def _task_window(
    longest: Messages,
    per_token: float,
    allowance: int,
    counts: DemoCounts,
    lm: MeteredLM,
) -> Check:
    params = lm.params
    prompt = round(characters([longest]) / per_token)
    needed = prompt + allowance + params.max_tokens
    passed = needed <= params.context_tokens
    demos = max(counts.bootstrapped, counts.labeled)
    return Check(
        name="task_lm_context",
        setting="lm.context_tokens",
        value=params.context_tokens,
        allowed=f"{needed} or more: longest prompt with {demos} demos {prompt}, "
        f"proposed instructions {allowance}, answer (lm.max_tokens) "
        f"{params.max_tokens}",
        passed=passed,
        message=""
        if passed
        else "Raise it if the LM can, or lower max_labeled_demos, "
        "max_bootstrapped_demos or lm.max_tokens.",
    )


def _prompt_windows(
    material: Material, optimizer: Optimizer, lm: MeteredLM, per_token: float
) -> list[Check]:
    lengths = optimizer.prompt_lm_characters(material.student, material.trainset)
    return [
        _prompt_window(setting, round(chars / per_token), lm)
        for setting, chars in lengths.items()
    ]


def _prompt_window(setting: str, prompt: int, lm: MeteredLM) -> Check:
    needed = prompt + lm.params.max_tokens
    passed = needed <= lm.params.context_tokens
    return Check(
        name=f"prompt_lm_context ({setting.rsplit('.', 1)[-1]})",
        setting=setting,
        value={"prompt_tokens": prompt, "answer_tokens": lm.params.max_tokens},
        allowed=f"together at most {lm.params.context_tokens} (the prompt LM's "
        "context_tokens)",
        passed=passed,
        message="" if passed else "Lower it, switch it off, or raise context_tokens.",
    )


def _reads_it_all(
    lm: MeteredLM, longest: Messages, expected: float, optimization_id: str
) -> Check:
    try:
        read = tokens_read(lm, longest, optimization_id)
        lost = ""
    except StopRun as stop:
        read, lost = None, str(stop)
    passed = not lost and (read is None or read >= _READ_AT_LEAST * expected)
    return Check(
        name="lm_reads_longest_prompt",
        setting="lm.context_tokens",
        value=read,
        allowed=f"about {expected:.0f} prompt tokens reported for the longest prompt",
        passed=passed,
        message=lost
        or ("" if passed else "The server cuts long prompts: raise its context."),
    )
