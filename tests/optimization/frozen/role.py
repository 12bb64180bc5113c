"""The program, metric and LM of the frozen run; a change here makes it another run."""

import hashlib
import json
from typing import Any

import dspy


def program() -> dspy.Module:
    """One predictor."""
    return dspy.Predict("question -> answer")


def metric(example: Any, prediction: Any, trace: Any = None) -> float:
    """The answer's digit over 9."""
    answer = str(getattr(prediction, "answer", ""))
    return min(9, int(answer)) / 9 if answer.isdigit() else 0.0


def examples(prefix: str, n: int) -> list[dspy.Example]:
    """Examples whose reference answer is 9, the best there is."""
    return [
        dspy.Example(question=f"{prefix}{i}", answer="9").with_inputs("question")
        for i in range(n)
    ]


def answer(prompt: str) -> str:
    """Whatever is asked for, chosen by the prompt's hash."""
    number = int(hashlib.sha256(prompt.encode()).hexdigest(), 16)
    if "_instruction" in prompt.rsplit("Respond with", 1)[-1]:
        text = f"Answer with care, variant {number % 1000}."
        return json.dumps({"proposed_instruction": text})
    return json.dumps({"answer": str(number % 10)})
