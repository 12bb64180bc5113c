"""One field, asked in many ways: objects, classes, loops, votes, retrievers."""

import threading
from concurrent.futures import ThreadPoolExecutor

import dspy

city_finder = dspy.ChainOfThought("message -> city")


def city_exact(example, prediction, trace=None):
    return prediction.city == example.town


def build(rounds=2):
    """A factory with an argument."""
    return Repeated(rounds)


class Repeated(dspy.Module):
    """A list of predictors, one after the other."""

    def __init__(self, rounds):
        super().__init__()
        self.rounds = [dspy.Predict("message, guess -> city") for _ in range(rounds)]

    def forward(self, message):
        guess = "unknown"
        for predictor in self.rounds:
            guess = predictor(message=message, guess=guess).city
        return dspy.Prediction(city=guess)


class Client:
    """A database's client: a connection, a lock, an address."""

    def __init__(self, url="db://local"):
        self.url = url
        self._lock = threading.Lock()

    def search(self, query, k=2):
        with self._lock:
            return [f"passage {n} about {query[:12]}" for n in range(k)]


class RAG(dspy.Module):
    """Retrieves, then answers; the client is made in the constructor."""

    def __init__(self, k=2):
        self.client = Client()
        self.k = k
        self.respond = dspy.ChainOfThought("context, message -> city")

    def forward(self, message):
        context = self.client.search(message, self.k)
        found = self.respond(context=context, message=message)
        return dspy.Prediction(context=context, city=found.city, answer=found.city)


class Hops(dspy.Module):
    """A loop over two predictors, with notes that grow."""

    def __init__(self, hops=2):
        super().__init__()
        self.hops = hops
        self.query = dspy.ChainOfThought("message, notes -> search_query")
        self.note = dspy.Predict("message, passage, notes: list[str] -> city")

    def forward(self, message):
        notes = []
        for _ in range(self.hops):
            query = self.query(message=message, notes=notes).search_query
            passage = f"passage on {query}"
            notes.append(self.note(message=message, passage=passage, notes=notes).city)
        return dspy.Prediction(city=notes[-1], notes=notes)


class Vote(dspy.Module):
    """Asks three times in one call and takes the majority."""

    def __init__(self):
        super().__init__()
        self.ask = dspy.ChainOfThought("message -> city", n=3)

    def forward(self, message):
        return dspy.majority(self.ask(message=message), field="city")


class Compared(dspy.Module):
    """Draws several chains of thought and compares them."""

    def __init__(self, m=3):
        super().__init__()
        self.m = m
        self.draft = dspy.Predict("message -> reasoning, city")
        self.compare = dspy.MultiChainComparison("message -> city", M=m)

    def forward(self, message):
        drafts = [
            self.draft(message=message, config={"temperature": 0.7, "rollout_id": n})
            for n in range(self.m)
        ]
        return self.compare(drafts, message=message)


class Conversation(dspy.Module):
    """Makes a dspy.History of earlier turns for its second question."""

    def __init__(self):
        super().__init__()
        self.turn = dspy.Predict("history: dspy.History, message -> city")

    def forward(self, message):
        first = self.turn(history=dspy.History(messages=[]), message=message)
        turns = [{"message": message, "city": first.city}]
        return self.turn(history=dspy.History(messages=turns), message=message)


class InThreads(dspy.Module):
    """Asks its two predictors in a pool of its own."""

    def __init__(self):
        super().__init__()
        self.where = dspy.Predict("message -> city")
        self.who = dspy.Predict("message -> person")

    def forward(self, message):
        with ThreadPoolExecutor(2) as pool:
            where = pool.submit(self.where, message=message)
            who = pool.submit(self.who, message=message)
        return dspy.Prediction(city=where.result().city, person=who.result().person)


class Parallel(dspy.Module):
    """Asks its two predictors by dspy.Parallel."""

    def __init__(self):
        super().__init__()
        self.where = dspy.Predict("message -> city")
        self.who = dspy.Predict("message -> person")

    def forward(self, message):
        run = dspy.Parallel(num_threads=2, disable_progress_bar=True)
        where, who = run(
            [(self.where, {"message": message}), (self.who, {"message": message})]
        )
        return dspy.Prediction(city=where.city, person=who.person)
