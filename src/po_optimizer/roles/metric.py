"""Calls metrics of any signature, and judges what an exception of theirs means."""

import copy
import functools
import inspect
from asyncio import CancelledError
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import is_dataclass
from typing import Any

import dspy
from dspy.adapters.utils import parse_value
from dspy.utils.exceptions import AdapterParseError, LMError, LMInvalidRequestError
from pydantic import BaseModel, ConfigDict, TypeAdapter
from pydantic.errors import PydanticUserError

from po_optimizer.errors import PoOptimizerError
from po_optimizer.roles.score import Score, ScoreError

Metric = Callable[..., Any]
"""What DSPy's optimizers take: (example, prediction, *OPTIONAL) -> a score."""

OPTIONAL = ("trace", "pred_name", "pred_trace")
"""What DSPy adds to the example and the prediction: some of it, in this order."""

RAISED = "the metric raised"
"""Begins the reason why an output is unusable that the metric raised at."""

_TEXT = TypeAdapter(str, config=ConfigDict(coerce_numbers_to_str=True))
_NAMED = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class JudgeUnreadableError(Exception):
    """The LM that a metric asks gave nothing to score by: no fault of the program."""


class Measure:
    """A metric of any shape that gives a Score.

    What it raises is the output's fault if another output of the same example gets a
    score: many metrics read `prediction.field` or convert a text, and DSPy scores what
    raises 0.0. If no other output gets one either, the metric or the example is at
    fault.

    Args:
        metric: Called with as much as DSPy gives, and as it takes.
    """

    def __init__(self, metric: Metric) -> None:
        self._metric = metric
        self._signature = metric_signature(metric)
        self._scored: Any = None

    def __call__(self, example: dspy.Example, prediction: Any, *optional: Any) -> Score:
        """The score; 0.0 and `unusable` if the metric raised at this output only.

        Raises:
            JudgeUnreadableError: The metric's own LM answered nothing readable.
            ScoreError: The metric gave no number in [0, 1], or a part of it is none.
        """
        try:
            given = (example, prediction, *optional)
            result = _call(self._metric, self._signature, *given)
        except (AdapterParseError, LMInvalidRequestError) as error:
            problem = f"the LM that the metric asks gave nothing to score by: {error}"
            raise JudgeUnreadableError(problem) from error
        except (PoOptimizerError, ScoreError):
            raise
        except Exception as error:
            if not self._is_outputs_fault(example, prediction):
                raise
            reason = f"{RAISED} {type(error).__name__}: {error}"
            return Score(0.0, feedback=reason, unusable=reason)
        score = Score.of(result)
        self._scored = prediction
        return score

    def _is_outputs_fault(self, example: dspy.Example, prediction: Any) -> bool:
        """Whether another output of the example gets a score, or there is none."""
        outputs = {name: prediction[name] for name in output_names(prediction)}
        labels = {name: example[name] for name in outputs if name in example}
        usable = [] if self._scored is None else [self._scored]
        if labels:
            types = {name: type(outputs[name]) for name in labels}
            answers = references(example, labels, types) or [dspy.Prediction(labels)]
            changed = ({**outputs, **dict(answer.items())} for answer in answers)
            usable = [*map(dspy.Prediction, changed), *usable]
        return not usable or any(self._scores(example, output) for output in usable)

    def _scores(self, example: dspy.Example, prediction: Any) -> bool:
        try:
            call_metric(self._metric, example, prediction)
        except Exception:  # noqa: BLE001 -- that it raises is the answer
            return False
        return True


def call_metric(metric: Metric, *given: Any) -> Any:
    """What the metric returns for as many of the given arguments as it takes.

    An argument that it requires and DSPy does not give at this place is None.
    """
    return _call(metric, metric_signature(metric), *given)


@contextmanager
def ordinary_errors() -> Iterator[None]:
    """Lets a program or a metric that exits fail on its example, not end the process.

    Raises:
        RuntimeError: The block raised SystemExit, or what cancels a task.
    """
    try:
        yield
    except (SystemExit, CancelledError) as error:
        raise RuntimeError(f"{type(error).__name__}: {error}") from error


@ordinary_errors()
def _call(metric: Metric, signature: inspect.Signature | None, *given: Any) -> Any:
    # what a metric changes would be read by the next program, in demos and in reports
    given = (*map(_own_copy, given[:2]), *given[2:])
    if signature is None:
        return metric(*given)
    parameters = signature.parameters
    positional = [p for p in parameters.values() if p.kind in _NAMED]
    variable = any(p.kind is p.VAR_POSITIONAL for p in parameters.values())
    arguments = given if variable else given[: max(2, len(positional))]
    required = sum(p.default is p.empty for p in positional)
    padding = (None,) * (required - len(arguments))
    by_name = dict(zip(OPTIONAL, given[2:], strict=False))
    named = {
        name: by_name.get(name)
        for name in OPTIONAL
        if _by_keyword(signature, name)
        and (name in by_name or parameters[name].default is inspect.Parameter.empty)
    }
    return metric(*arguments, *padding, **named)


def _own_copy(value: Any, *within: int) -> Any:
    """The value with containers and data classes of its own; other parts are shared."""
    kind = type(value)
    has_fields = issubclass(kind, BaseModel) or is_dataclass(kind)
    has_fields = has_fields and hasattr(value, "__dict__")
    containers = dict | list | set | dspy.Example
    if id(value) in within or not (has_fields or issubclass(kind, containers)):
        return value
    own, within = copy.copy(value), (*within, id(value))
    if isinstance(own, dspy.Example):
        own._store = _own_copy(own._store, *within)
    elif isinstance(own, list):
        own[:] = [_own_copy(part, *within) for part in own]
    elif not isinstance(own, set):
        parts = vars(own) if has_fields else own
        parts.update({name: _own_copy(part, *within) for name, part in parts.items()})
    return own


def metric_problem(metric: Any) -> str:
    """Why DSPy's optimizers cannot call this; "" if they can."""
    if isinstance(metric, type):
        return f"{metric.__name__} is a class: give an instance of it"
    if not callable(metric):
        return "not callable"
    if any(map(inspect.iscoroutinefunction, (metric, type(metric).__call__))):
        return "it is async, which DSPy does not await: make it a plain function"
    signature = metric_signature(metric)
    return "" if signature is None else _signature_problem(signature)


def _signature_problem(signature: inspect.Signature) -> str:
    parameters = signature.parameters.values()
    required = sum(p.default is p.empty for p in parameters if p.kind in _NAMED)
    if required > 2 + len(OPTIONAL):
        return f"it requires {required} arguments; DSPy gives at most 5"
    by_keyword = {name: None for name in OPTIONAL if _by_keyword(signature, name)}
    try:
        signature.bind(*[None] * max(2, required), **by_keyword)
    except TypeError as error:
        return f"it cannot be called as metric(example, prediction): {error}"
    return ""


def _by_keyword(signature: inspect.Signature, name: str) -> bool:
    parameter = signature.parameters.get(name)
    return parameter is not None and parameter.kind is parameter.KEYWORD_ONLY


def metric_signature(metric: Metric) -> inspect.Signature | None:
    """The metric's signature; None: Python cannot read it."""
    forward = getattr(type(metric), "forward", None)  # DSPy's modules hide it
    target = metric if forward is None else functools.partial(forward, metric)
    try:
        return inspect.signature(target)
    except (TypeError, ValueError):
        return None


def output_names(prediction: Any) -> list[str]:
    """The names of what a program gave; [] of a value without names."""
    return list(prediction.keys()) if isinstance(prediction, dspy.Example) else []


def output_types(program: dspy.Module | None) -> dict[str, Any]:
    """The annotations of a program's output fields; {} without a program."""
    predictors = [] if program is None else program.predictors()
    return {
        name: field.annotation
        for predictor in predictors
        for name, field in predictor.signature.output_fields.items()
    }


def references(
    example: dspy.Example, outputs: Collection[str], types: Mapping[str, Any]
) -> list[dspy.Prediction]:
    """The example's labels as predictions: as a program gives them, and as they stand.

    A data file holds a text or a dict where the program gives a date, an Enum or a
    model, and only the metric knows which of them it reads. [] if an output has no
    label, or one that is no value of its type, as a list of right answers where the
    program gives one. Nobody labels the reasoning of a ChainOfThought.

    Args:
        example: With labels or without.
        outputs: The names of what the program gives.
        types: Their annotations, as far as they are known.
    """
    labels = {name: example[name] for name in outputs if name in example}
    if not labels or set(outputs) - {*labels, "reasoning"}:
        return []
    try:
        typed = {
            name: as_output(label, types[name]) if name in types else label
            for name, label in labels.items()
        }
    except (TypeError, ValueError, PydanticUserError):
        return []
    differ = repr(typed) != repr(labels)
    return [dspy.Prediction(typed), *([dspy.Prediction(labels)] if differ else [])]


def as_output(label: Any, annotation: Any) -> Any:
    """A label as a program would give it.

    Raises:
        ValueError: It is no value of the output's type.
    """
    if annotation is str:  # DSPy would make a text of anything
        return _TEXT.validate_python(label)
    return parse_value(label, annotation)


def best_form(
    measure: Measure, example: dspy.Example, forms: Sequence[Any]
) -> tuple[Any, Score]:
    """The form of an answer that the metric scores best, and its score.

    Of equal scores the first counts, and one that the metric can use before one that it
    cannot.

    Args:
        measure: The metric.
        example: The answer's.
        forms: One or more, of labels as `references` gives them.

    Raises:
        Exception: What the metric raised, if it gave no form a score.
    """
    scored: list[tuple[Any, Score]] = []
    for number, form in enumerate(forms, start=1):
        try:
            scored.append((form, measure(example, form)))
        except (LMError, PoOptimizerError, JudgeUnreadableError):
            raise
        except Exception:  # a metric that cannot read one form may read the other
            if number == len(forms) and not scored:
                raise
    return max(scored, key=lambda pair: (pair[1].unusable is None, pair[1]))
