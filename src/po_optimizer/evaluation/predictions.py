"""One program's answer to one example, JSON-ready: what reports are computed from."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any, Literal

from pydantic import Field, JsonValue
from pydantic_core import PydanticSerializationError, from_json, to_json

from po_optimizer.params.base import Fraction, Result

Status = Literal["ok", "failed", "unscored"]
Which = Literal["baseline", "optimized", "champion", "reference"]


class PredictionRecord(Result):
    """One example with the program's answer and its score.

    Attributes:
        index: Position in the testset, from 0; records of two programs pair by it.
        example_id: The example's own id, or its index as text.
        which: The program that answered; "reference" for the reference outputs.
        strata: What the example belongs to, e.g. {"tier": "simple"}.
        group: Its customer or document, for example; None: it belongs to no group.
        inputs: The example's inputs.
        labels: What the example says is right; in the baseline's records only.
        outputs: The program's typed outputs; None if there are none.
        raw_text: What the LM wrote, when it could not be read.
        status: ok; failed: the answer was unusable, scored 0.0 and counted;
            unscored: the LM could not be asked, excluded and counted apart.
        reason: Why it is failed or unscored; "" if ok.
        score: The metric's objective in [0, 1], higher is better; None if unscored.
        rubric: The rubric in [0, 1], higher is better; None if the metric has none.
        components: The metric's parts, each in [0, 1], higher is better.
        feedback: Where points were lost, in the metric's words.
        seconds: Wall time of the program's answer.
        repeats: The score of each answer, where the example was asked several times;
            `score`, `rubric` and `components` are then their means, and `outputs` are
            the first usable ones.
        prompt_tokens: None if nothing was reported, as for cached answers.
        completion_tokens: None if nothing was reported, as for cached answers.
    """

    index: int = Field(ge=0)
    example_id: str
    which: Which
    strata: dict[str, str] = Field(default_factory=dict)
    group: str | None = None
    inputs: dict[str, JsonValue] = Field(default_factory=dict)
    labels: dict[str, JsonValue] = Field(default_factory=dict)
    outputs: dict[str, JsonValue] | None = None
    raw_text: str | None = None
    status: Status
    reason: str = ""
    score: Fraction | None = None
    rubric: Fraction | None = None
    components: dict[str, Fraction] = Field(default_factory=dict)
    feedback: str = ""
    repeats: list[Fraction] = Field(default_factory=list)
    seconds: float = Field(default=0.0, ge=0.0)
    prompt_tokens: int | None = None
    completion_tokens: int | None = None

    @property
    def scored(self) -> bool:
        """Whether it counts in the means: ok or failed."""
        return self.status != "unscored"


class Predictions:
    """Stored records, read and checked one by one, as often as one likes."""

    def __init__(self, stored: Iterable[Mapping[str, Any]]) -> None:
        self._stored = stored

    def __iter__(self) -> Iterator[PredictionRecord]:
        """The records in the stored order."""
        return map(PredictionRecord.model_validate, self._stored)


def json_ready(values: Mapping[str, Any]) -> dict[str, JsonValue]:
    """Values of any type as what JSON can hold and people can read."""
    return {name: _ready(value) for name, value in values.items()}


def _ready(value: Any) -> JsonValue:
    try:
        text = to_json(value, fallback=_readable, inf_nan_mode="strings")
    except PydanticSerializationError:  # bytes, half characters, a list within itself
        text = to_json(ascii(value))
    ready: JsonValue = from_json(text)
    return ready


def _readable(value: Any) -> Any:
    if type(value).__module__ == "numpy":
        return value.tolist()
    from dspy import Example  # noqa: PLC0415 -- to read records takes no DSPy

    return value.toDict() if isinstance(value, Example) else str(value)


def mean_of_repeats(answers: Sequence[PredictionRecord]) -> PredictionRecord:
    """The example's record: means over the scored answers, a failed one being 0.0.

    It is failed if every scored answer is, unscored if none could be asked.

    Args:
        answers: Of one program to one example; at least one.
    """
    scored = [answer for answer in answers if answer.scored]
    if len(answers) == 1 or not scored:
        return answers[0]
    usable = [answer for answer in scored if answer.status == "ok"]
    bad = [answer for answer in answers if answer.status != "ok"]
    names = {name for answer in scored for name in answer.components}
    graded = any(answer.rubric is not None for answer in scored)
    return (usable or scored)[0].model_copy(
        update={
            "reason": f"{len(bad)} of {len(answers)} answers: {bad[0].reason}"
            if bad
            else "",
            "score": fmean(answer.score or 0.0 for answer in scored),
            "rubric": fmean(a.rubric or 0.0 for a in scored) if graded else None,
            "components": {
                name: fmean(answer.components.get(name, 0.0) for answer in scored)
                for name in sorted(names)
            },
            "repeats": [answer.score or 0.0 for answer in scored],
            "seconds": fmean(answer.seconds for answer in scored),
            "prompt_tokens": _total([a.prompt_tokens for a in scored]),
            "completion_tokens": _total([a.completion_tokens for a in scored]),
        }
    )


def _total(counts: Sequence[int | None]) -> int | None:
    reported = [count for count in counts if count is not None]
    return sum(reported) if reported else None
