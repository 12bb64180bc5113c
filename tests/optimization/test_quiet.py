import logging
from contextlib import ExitStack
from weakref import WeakSet

import dspy
import pytest
import tqdm
from dspy.teleprompt import bootstrap, utils

from po_optimizer.optimization.quiet import quiet_dspy
from tests.optimization import world


def test_log_files_still_get_dspys_lines(tmp_path):
    """DSPy's loggers write to the project's log file, and to nothing else."""
    root = logging.getLogger()
    handler = logging.FileHandler(tmp_path / "info.log")
    root.addHandler(handler)
    try:
        with quiet_dspy():
            logging.getLogger("dspy.teleprompt").warning("for the file")
    finally:
        root.removeHandler(handler)
        handler.close()
    assert "for the file" in (tmp_path / "info.log").read_text()


def test_everything_is_as_before_afterwards(capsys):
    """Prints, bars and loggers of DSPy are given back."""
    logger = logging.getLogger("dspy")
    before = (logger.handlers, logger.propagate, vars(tqdm.tqdm)["__init__"])
    with quiet_dspy():
        assert "print" in vars(utils)
        for _ in tqdm.tqdm([1, 2]):
            pass
    now = (logger.handlers, logger.propagate, vars(tqdm.tqdm)["__init__"])
    assert now == before
    assert "print" not in vars(utils)
    assert "print" not in vars(bootstrap)
    assert capsys.readouterr() == ("", "")


def test_a_print_to_a_file_of_its_own_is_printed(tmp_path):
    """Only what would reach the terminal is turned into a log line."""
    with quiet_dspy(), (tmp_path / "own.txt").open("w") as file:
        utils.print("kept", file=file)
    assert (tmp_path / "own.txt").read_text() == "kept\n"


class Documented(dspy.Module):
    """A program whose source DSPy's proposer looks at, and prints."""

    class Ask(dspy.Signature):
        """Answer."""

        question: str = dspy.InputField()
        answer: str = dspy.OutputField()

    def __init__(self):
        super().__init__()
        self.predict = dspy.Predict(self.Ask)

    def forward(self, question):
        """Predicts."""
        return self.predict(question=question)


@pytest.mark.usefixtures("without_our_lines")
def test_the_proposers_look_at_the_source_is_silent(tmp_path, capfd):
    """The program-aware proposer prints a signature's source; none of it shows."""
    aware = {"program_aware_proposer": True, "data_aware_proposer": True}
    params = world.settings(miprov2=aware)
    world.run(tmp_path, world.lm(tmp_path), params, student=Documented())
    assert capfd.readouterr() == ("", "")


def test_quiet_lasts_until_the_last_of_several_blocks_ends():
    """Two optimizations in two threads end in any order."""
    first, second = quiet_dspy(), quiet_dspy()
    with ExitStack() as stack:
        first.__enter__()
        stack.callback(second.__exit__, None, None, None)
        second.__enter__()
        first.__exit__(None, None, None)
        assert "print" in vars(utils)
    assert "print" not in vars(utils)


class Forgetful(WeakSet):
    """What tqdm keeps of its bars, when another thread has removed one already."""

    def remove(self, item):
        """Raises, as a set does that has not what is removed."""
        raise KeyError(item)


def test_bar_that_tqdm_has_forgotten_still_counts(monkeypatch):
    """Several optimizations in threads make many disabled bars at a time."""
    monkeypatch.setattr(tqdm.tqdm, "_instances", Forgetful())
    with quiet_dspy():
        assert list(tqdm.tqdm(range(3))) == [0, 1, 2]
        tqdm.tqdm(total=2).update(1)


def test_a_failure_is_named_with_its_example(tmp_path, caplog):
    """The first of a kind in an optimization is a warning; trials count the others."""

    class Raises(dspy.Module):
        def __init__(self):
            super().__init__()
            self.predict = dspy.Predict("question -> answer")

        def forward(self, question):
            if question in ("v5", "v6"):
                return [][int(question[1])]
            return self.predict(question=question)

    result = world.run(tmp_path, world.lm(tmp_path), student=Raises())
    warned = [line for line in caplog.messages if line.startswith("failed, scored 0.0")]
    assert warned == [
        "failed, scored 0.0: IndexError: list index out of range on {'question': 'v5'}"
    ]
    assert result.report.baseline.n_failed == 2
