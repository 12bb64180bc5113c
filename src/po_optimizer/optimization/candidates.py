"""Numbers for the instructions and demos of a candidate, as reports name them."""

from typing import Any

import dspy

from po_optimizer.records.canonical import digest


class CandidateIndex:
    """Numbers instructions and demo sets per predictor in the order of their naming.

    An optimizer that draws from lists names them beforehand, so that the numbers are
    its own; everything else is numbered when it is first seen. Instruction 0 is the
    student's own; demo set 0 is the first one named.
    """

    def __init__(self, student: dspy.Module) -> None:
        self._instructions: list[list[str]] = [[] for _ in student.predictors()]
        self._demos: list[list[str]] = [[] for _ in student.predictors()]
        self.describe(student)

    def name_instructions(self, predictor: int, instructions: list[str]) -> None:
        """Takes over an optimizer's list of instructions."""
        self._instructions[predictor] = list(instructions)

    def name_demo_sets(self, predictor: int, demo_sets: list[list[Any]]) -> None:
        """Takes over an optimizer's list of demo sets."""
        self._demos[predictor] = [demos_key(demos) for demos in demo_sets]

    def describe(self, program: dspy.Module) -> tuple[list[int], list[int]]:
        """The instruction and demo set numbers, one of each per predictor."""
        pairs = list(enumerate(program.predictors()))
        instructions = [
            _number(self._instructions[i], p.signature.instructions) for i, p in pairs
        ]
        demos = [_number(self._demos[i], demos_key(p.demos)) for i, p in pairs]
        return instructions, demos


def with_prompts_of(candidate: dspy.Module, student: dspy.Module) -> dspy.Module:
    """The student with the prompts of a candidate.

    What its runs left in the candidate is no part of it: remembered answers, an opened
    client, or the `forward` that DSPy's bootstrap_trace_data puts into the instance
    while GEPA evaluates.
    """
    program, prompts = student.deepcopy(), dict(candidate.named_predictors())
    for name, predictor in program.named_predictors():
        prompt = prompts.get(name, predictor)
        predictor.signature, predictor.lm = prompt.signature, prompt.lm
        predictor.demos = list(prompt.demos)
    return program


def candidate_key(program: dspy.Module) -> str:
    """A digest of the instructions and demos of a program."""
    parts = [
        [p.signature.instructions, demos_key(p.demos)] for p in program.predictors()
    ]
    return digest(parts)


def demos_key(demos: list[Any]) -> str:
    """A digest of a list of demos."""
    return digest([dict(demo.items()) for demo in demos])


def _number(values: list[str], value: str) -> int:
    if value not in values:
        values.append(value)
    return values.index(value)
