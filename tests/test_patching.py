import threading
from concurrent.futures import ThreadPoolExecutor

import dspy
import numpy as np
import pytest
import tqdm

from po_optimizer.evaluation.predict import predict_all
from po_optimizer.lms.lm import use_lm
from po_optimizer.patching import own_threads, whole_copies
from tests.scripted import fixed_fields, scripted_lm


class Pooled(dspy.Module):
    """Asks its predictor in a way of its own."""

    def __init__(self, ask):
        super().__init__()
        self.predict = dspy.Predict("question -> answer")
        self.ask = ask

    def forward(self, question):
        """The answer."""
        return self.ask(self.predict, question)


def in_pool(predict, question):
    """By a pool that is made for it."""
    with ThreadPoolExecutor(2) as pool:
        return pool.submit(predict, question=question).result()


def in_thread(predict, question):
    """By a thread."""
    answers = []
    thread = threading.Thread(target=lambda: answers.append(predict(question=question)))
    thread.start()
    thread.join()
    return answers[0]


POOL = ThreadPoolExecutor(1)


def in_kept_pool(predict, question):
    """By a pool that outlives the block."""
    return POOL.submit(predict, question=question).result()


def in_parallel(predict, question):
    """By DSPy's own."""
    both = [(predict, {"question": question + mark}) for mark in "ab"]
    return dspy.Parallel(num_threads=2)(both)[0]


@pytest.mark.parametrize("ask", [in_pool, in_kept_pool, in_thread, in_parallel])
def test_a_program_s_own_threads_find_the_lm(tmp_path, ask):
    """Its calls stand in the ledger under the stage, example by example."""
    lm = scripted_lm(fixed_fields(answer="x"), tmp_path, num_threads=4)
    examples = [
        dspy.Example(question=f"q{n}").with_inputs("question") for n in range(9)
    ]
    records = predict_all(
        Pooled(ask),
        examples,
        lambda example, prediction: float(prediction.answer == "x"),
        lm,
        stage="evaluate",
        n=9,
    )
    assert [record.score for record in records] == [1.0] * 9
    paid = 18 if ask is in_parallel else 9
    assert lm.meter.ledger.totals(stage="evaluate").paid == paid


def test_a_pool_s_thread_does_not_keep_the_settings():
    """After the block its tasks find what they would have found without it."""
    pool = ThreadPoolExecutor(1)
    with own_threads(), dspy.context(lm="of the block"):
        assert pool.submit(dspy.settings.get, "lm").result() == "of the block"
    assert pool.submit(dspy.settings.get, "lm").result() is None


def changed():
    """What a block changes."""
    bar = vars(tqdm.tqdm)["__init__"]
    return ThreadPoolExecutor.submit, threading.Thread.start, bar


def test_everything_is_as_before_after_the_last_block(tmp_path):
    """Two blocks that overlap change the process once, and the last one restores it."""
    before = changed()
    lm = scripted_lm(fixed_fields(answer="x"), tmp_path)
    first, second = use_lm(lm, stage="a"), own_threads()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert ThreadPoolExecutor.submit is not before[0]
    second.__exit__(None, None, None)
    assert changed() == before


class Desk(dspy.Module):
    """Agents in a list, whose tool has a lock; one predictor in two places."""

    def __init__(self):
        super().__init__()
        embedder = dspy.Embedder(lambda texts: np.ones((len(texts), 2)))
        self.search = dspy.retrievers.Embeddings(["a", "b"], embedder, k=1)
        self.lock = threading.Lock()
        self.agents = [dspy.ReAct("question -> answer", tools=[self.look_up])]
        self.first = self.parts = {"steps": (self.answer, self.agents[0].react)}
        self.again = self.agents[0].react

    def look_up(self, query: str) -> str:
        """Looks it up."""
        with self.lock:
            return query

    def answer(self, question):
        """Of the first agent."""
        return self.agents[0](question=question)


def test_a_copy_shares_only_what_cannot_be_copied(caplog, capfd):
    """Its predictors are its own, in a list beside a lock, too, and no word is said."""
    desk = Desk()
    with whole_copies():
        copied = desk.deepcopy()
    assert not {*map(id, desk.predictors())} & {*map(id, copied.predictors())}
    assert copied.lock is desk.lock
    del desk
    assert caplog.text + "".join(capfd.readouterr()) == ""


def test_a_copy_is_connected_as_the_original_is():
    """What stood in two places does, and methods are those of the copy."""
    desk = Desk()
    with whole_copies():
        copied = desk.deepcopy()
    assert copied.again is copied.agents[0].react is copied.parts["steps"][1]
    assert copied.first is copied.parts
    assert copied.parts["steps"][0].__self__ is copied
    assert copied.agents[0].tools["look_up"].func.__self__ is copied
    assert len(copied.predictors()) == len(desk.predictors())
