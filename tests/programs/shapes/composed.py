"""Programs of several parts: routers, experts, shared parts, other LMs, judges."""

import os
import re
from functools import lru_cache

import dspy

KINDS = ("order", "complaint", "question")


class Router(dspy.Module):
    """A dict of predictors; a first one chooses among them."""

    def __init__(self):
        super().__init__()
        self.route = dspy.Predict("message -> category")
        self.experts = {
            k: dspy.ChainOfThought(f"message -> city, {k}_note") for k in KINDS
        }

    def forward(self, message):
        kind = self.route(message=message).category
        return self.experts.get(kind, self.experts["order"])(message=message)


class Inner(dspy.Module):
    def __init__(self, signature):
        super().__init__()
        self.step = dspy.Predict(signature)
        self.pattern = re.compile(r"K\d+")

    def forward(self, **inputs):
        return self.step(**inputs)


class Nested(dspy.Module):
    """Modules in modules, one predictor shared by two of them."""

    def __init__(self):
        super().__init__()
        self.parts = [Inner("message -> person"), Inner("message, person -> city")]
        self.summary = dspy.Predict("message -> answer")
        self.again = self.summary

    def forward(self, message):
        person = self.parts[0](message=message).person
        city = self.parts[1](message=message, person=person).city
        first, second = self.summary(message=message), self.again(message=message)
        return dspy.Prediction(
            city=city, person=person, answer=first.answer + second.answer
        )


class Committee(dspy.Module):
    """Three members of different temperature vote."""

    def __init__(self):
        super().__init__()
        self.members = [
            dspy.Predict(f"message, view_{n} -> city", temperature=0.2 * n)
            for n in range(3)
        ]

    def forward(self, message):
        votes = [
            member(message=message, **{f"view_{n}": "plain"}).city
            for n, member in enumerate(self.members)
        ]
        return dspy.Prediction(city=max(set(votes), key=votes.count))


class Remembers(dspy.Module):
    """Keeps what it answered, as people's caches do."""

    def __init__(self):
        super().__init__()
        self.answer = dspy.Predict("message -> city")
        self.seen = {}
        self.n_asked = 0

    def forward(self, message):
        self.n_asked += 1
        if message not in self.seen:
            self.seen[message] = self.answer(message=message).city
        return dspy.Prediction(city=self.seen[message])


class OwnAdapter(dspy.Module):
    """Answers by an adapter of its own."""

    def __init__(self):
        super().__init__()
        self.answer = dspy.ChainOfThought("message -> city")

    def forward(self, message):
        with dspy.context(adapter=dspy.XMLAdapter()):
            return self.answer(message=message)


def _other_lm(name, **more):
    return dspy.LM(
        f"openai/{name}", api_base=os.environ["SHAPES_LM"], api_key="k", **more
    )


class Delegates(dspy.Module):
    """Asks a large LM that it holds, with a text."""

    def __init__(self):
        super().__init__()
        self.redact = dspy.Predict("message -> request")
        self.large = _other_lm("large")
        self.answer = dspy.ChainOfThought("message, reply -> city")

    def forward(self, message):
        request = self.redact(message=message).request
        reply = self.large(request)[0]
        return self.answer(message=message, reply=reply)


class Pinned(dspy.Module):
    """One of its predictors always asks another LM."""

    def __init__(self):
        super().__init__()
        self.draft = dspy.Predict("message -> person")
        self.draft.set_lm(_other_lm("small"))
        self.answer = dspy.Predict("message, person -> city")

    def forward(self, message):
        person = self.draft(message=message).person
        return self.answer(message=message, person=person)


class FromSettings(dspy.Module):
    """Looks for the LM in the settings when it is made."""

    def __init__(self):
        super().__init__()
        self.name = dspy.settings.lm.model
        self.warm = dspy.settings.lm.copy(temperature=0.9)
        self.answer = dspy.ChainOfThought("message -> city")

    def forward(self, message):
        with dspy.context(lm=self.warm):
            return self.answer(message=message)


class Judge(dspy.Signature):
    """Is the answer right?"""

    message: str = dspy.InputField()
    answer: str = dspy.InputField()
    correct: bool = dspy.OutputField()


judge = dspy.ChainOfThought(Judge)


def judged(example, prediction, trace=None):
    """By the LM of the settings, without a reference."""
    return judge(message=example.message, answer=prediction.city).correct


@lru_cache(maxsize=1)
def _judge_lm():
    return _other_lm("judge", max_tokens=500)


def judged_by_another(example, prediction, trace=None, pred_name=None, pred_trace=None):
    """By an LM of its own, with feedback."""
    with dspy.context(lm=_judge_lm()):
        verdict = judge(message=example.message, answer=prediction.city)
    return dspy.Prediction(score=float(verdict.correct), feedback=verdict.reasoning)


def not_vague(example, prediction, trace=None):
    """A heuristic without a reference."""
    return len(prediction.city) <= 6 and prediction.city[0].isupper()


def strict(example, prediction, trace=None):
    """Raises on what has no city, and on an empty one."""
    return float(prediction.city[0] == example.town[0])


class Plain(dspy.Module):
    """Has no predictor that DSPy can see."""

    def forward(self, message):
        return dspy.Predict("message -> city")(message=message)


class AlwaysFails(dspy.Module):
    def __init__(self):
        super().__init__()
        self.answer = dspy.Predict("message -> city")

    def forward(self, message):
        return self.answer(message=message).town
