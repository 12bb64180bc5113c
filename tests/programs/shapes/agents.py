"""Agents, attempts that are judged, programs that write code."""

import asyncio

import dspy

from tests.programs.shapes.answering import Client


def look_up(query: str) -> str:
    """Looks a message up in the archive."""
    return f"archive entry on {query}"


def count_words(query: str) -> int:
    """Counts the words of a text."""
    return len(query.split())


def react(max_iters=5):
    return dspy.ReAct(
        "message -> city", tools=[look_up, count_words], max_iters=max_iters
    )


class Desk(dspy.Module):
    """An agent within a program, with a bound method and a dspy.Tool."""

    def __init__(self):
        super().__init__()
        self.client = Client()
        tools = [self.find, dspy.Tool(count_words, name="count")]
        self.agent = dspy.ReAct("message -> person", tools=tools, max_iters=4)
        self.finish = dspy.Predict("message, person -> city")

    def find(self, query: str) -> list[str]:
        """Searches the desk's documents."""
        return self.client.search(query)

    def forward(self, message):
        person = self.agent(message=message).person
        city = self.finish(message=message, person=person).city
        return dspy.Prediction(person=person, city=city)


def knows(args, prediction):
    """A reward: is there a name of a town?"""
    return 0.0 if "nobody" in prediction.city else 1.0


class BestOf(dspy.Module):
    def __init__(self, n=3):
        super().__init__()
        inner = dspy.ChainOfThought("message -> city")
        self.best = dspy.BestOfN(module=inner, N=n, reward_fn=knows, threshold=1.0)

    def forward(self, message):
        return self.best(message=message)


class Refined(dspy.Module):
    def __init__(self, n=3):
        super().__init__()
        inner = dspy.ChainOfThought("message -> city")
        self.refine = dspy.Refine(module=inner, N=n, reward_fn=knows, threshold=1.0)

    def forward(self, message):
        return self.refine(message=message)


class Retried(dspy.Module):
    """Asks again, at most twice, until its own check is content."""

    def __init__(self):
        super().__init__()
        self.answer = dspy.ChainOfThought("message, remark -> city")

    def forward(self, message):
        remark = ""
        for attempt in range(3):
            prediction = self.answer(message=message, remark=remark)
            if "nobody" not in prediction.city:
                break
            remark = f"attempt {attempt} named no town"
        return prediction


class Asynchronous(dspy.Module):
    """Has aforward only."""

    def __init__(self):
        super().__init__()
        self.where = dspy.ChainOfThought("message -> city")
        self.who = dspy.Predict("message -> person")

    async def aforward(self, message):
        where, who = await asyncio.gather(
            self.where.acall(message=message), self.who.acall(message=message)
        )
        return dspy.Prediction(city=where.city, person=who.person)


class Gathered(Asynchronous):
    """Runs its loop itself."""

    def forward(self, message):
        return asyncio.run(self.aforward(message))


def coder():
    return dspy.ProgramOfThought("message -> city", max_iters=2)


def code_actor():
    return dspy.CodeAct("message -> city", tools=[count_words], max_iters=2)
