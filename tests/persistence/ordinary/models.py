"""Programs with LMs inside."""

# A docstring would become part of the prompts:
# ruff: noqa: D101, D102, D103

import dataclasses
from typing import Any

import dspy

from . import Case

QA = "question -> answer"


def cheap(**options: Any) -> Any:
    return dspy.LM("openai/cheap-model", temperature=0.7, max_tokens=50, **options)


def strong(**options: Any) -> Any:
    return dspy.LM("anthropic/strong-model", **options)


class SetInConstructor(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.draft = dspy.Predict(QA)
        self.final = dspy.ChainOfThought("question, draft -> answer")
        self.final.set_lm(dspy.LM("openai/cheap-model"))

    def forward(self, question: str) -> Any:
        draft = self.draft(question=question).answer
        return self.final(question=question, draft=draft)


class Kept(dspy.Module):
    def __init__(self, untrusted_model: Any) -> None:
        super().__init__()
        self.untrusted_model = untrusted_model
        self.craft = dspy.ChainOfThought("query -> request")
        self.respond = dspy.Predict("request, response, query -> answer")

    def forward(self, question: str) -> Any:
        request = self.craft(query=question).request
        response = self.untrusted_model(request)[0]
        return self.respond(request=request, response=response, query=question)


class Forgiving(Kept):
    """Answers nothing when something fails, as people write."""

    def forward(self, question: str) -> Any:
        try:
            return super().forward(question)
        except Exception:  # noqa: BLE001 as people write
            return dspy.Prediction(answer="")


class Several(dspy.Module):
    def __init__(self, lms: Any) -> None:
        super().__init__()
        self.lms = lms
        self.answer = dspy.Predict(QA)

    def forward(self, question: str) -> Any:
        every = self.lms.values() if isinstance(self.lms, dict) else self.lms
        answers = []
        for lm in every:
            with dspy.context(lm=lm):
                answers.append(self.answer(question=question).answer)
        return dspy.Prediction(answer=" ".join(answers))


class Choosing(dspy.Module):
    """Takes its own LM if there is one, else the configured one."""

    def __init__(self, lm: Any = None) -> None:
        super().__init__()
        self.lm = lm
        self.answer = dspy.Predict(QA)

    def forward(self, question: str) -> Any:
        with dspy.context(lm=self.lm or dspy.settings.lm):
            return self.answer(question=question)


class AtTheCall(dspy.Module):
    def __init__(self, judge: Any) -> None:
        super().__init__()
        self.judge = judge
        self.answer = dspy.Predict(QA)

    def forward(self, question: str) -> Any:
        return self.answer(question=question, lm=self.judge)


class Echoing(dspy.LM):
    """An LM of somebody's own."""

    def __init__(self, model: str, style: str = "plain") -> None:
        super().__init__(model)
        self.style = style

    def __call__(self, prompt: Any = None, **kwargs: Any) -> Any:
        return [f"{self.style}: {text}" for text in super().__call__(prompt, **kwargs)]


@dataclasses.dataclass
class Team:
    writer: Any
    critic: Any


class InDataclass(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.team = Team(cheap(), strong())
        self.answer = dspy.Predict(QA)

    def forward(self, question: str) -> Any:
        draft = self.answer(question=question, lm=self.team.writer).answer
        return self.answer(question=draft, lm=self.team.critic)


class InClosure(dspy.Module):
    def __init__(self, model: str) -> None:
        super().__init__()
        lm = dspy.LM(model)
        self.ask = lambda text: lm(text)[0]
        self.answer = dspy.Predict(QA)

    def forward(self, question: str) -> Any:
        return self.answer(question=self.ask(question))


def shared() -> Any:
    lm = cheap()
    program = SetInConstructor()
    program.draft.set_lm(lm)
    program.final.set_lm(lm)
    return program


def two_adapters() -> Any:
    program = dspy.Predict("question -> answer: int")
    program.set_lm(cheap(response_format={"type": "json_object"}))
    return program


def nested() -> Any:
    inner = SetInConstructor()
    program = Several({"cheap": cheap(), "own": strong(temperature=0.1)})
    program.inner = inner
    program.answer = inner
    return program


def best() -> Any:
    module = dspy.Predict(QA)
    module.set_lm(cheap())
    return dspy.MultiChainComparison("question -> answer", M=2), module


class Compared(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.compare, self.draft = best()

    def forward(self, question: str) -> Any:
        attempts = [
            dspy.Prediction(rationale="r", answer=self.draft(question=question).answer)
            for _ in range(2)
        ]
        return self.compare(attempts, question=question)


CASES = {
    "set_lm in the constructor": Case(SetInConstructor),
    "plain lm set on a predictor": Case(
        two_adapters, needs="data", answers={"answer": 3}
    ),
    "module keeps an lm": Case(
        lambda: Kept(cheap()), lms=lambda: {"untrusted_model": cheap()}
    ),
    "forgiving module keeps an lm": Case(lambda: Forgiving(cheap())),
    "forgiving, lm with endpoint": Case(
        lambda: Forgiving(cheap(api_base="http://canary-host", api_key="sk-canary")),
        needs="donor",
    ),
    "lm with endpoint and key": Case(
        lambda: Kept(cheap(api_base="http://canary-host", api_key="sk-canary")),
        needs="donor",
    ),
    "lm with headers": Case(
        lambda: Kept(cheap(extra_headers={"X-Team": "canary"})), needs="donor"
    ),
    "lm with a key only": Case(lambda: Kept(strong(api_key="sk-canary"))),
    "lm with other settings": Case(
        lambda: Kept(strong(num_retries=9, cache=False, top_p=0.5, stop=["x"], seed=3))
    ),
    "responses and reasoning": Case(
        lambda: Kept(
            dspy.LM("openai/gpt-5", model_type="responses", reasoning={"effort": "low"})
        )
    ),
    "dict of lms": Case(lambda: Several({"a": cheap(), "b": strong()})),
    "list of lms": Case(lambda: Several([cheap(), strong(), cheap()])),
    "optional lm is none": Case(Choosing),
    "optional lm": Case(lambda: Choosing(strong(temperature=0.2))),
    "optional lm with endpoint": Case(
        lambda: Choosing(strong(api_base="http://canary-host")), needs="donor"
    ),
    "lm at the call": Case(lambda: AtTheCall(cheap())),
    "lm at the call, with endpoint": Case(
        lambda: AtTheCall(cheap(base_url="http://canary-host")), needs="donor"
    ),
    "lm of somebody's own": Case(
        lambda: Kept(Echoing("openai/x", "loud")), needs="donor"
    ),
    "lm in a dataclass": Case(InDataclass),
    "lm in a closure": Case(lambda: InClosure("openai/closure"), needs="donor"),
    "one lm for two predictors": Case(shared),
    "lms in a nest": Case(nested),
    "comparison with an lm": Case(Compared),
    "rollout and temperature": Case(
        lambda: Kept(cheap().copy(rollout_id=3, temperature=1.0))
    ),
}
