import json
from pathlib import Path

import pytest

from po_optimizer.evaluation.wear import JudgedPrograms, Judgement
from po_optimizer.params.evaluate import PromotionParams

PARAMS = PromotionParams()


def judge(
    path: Path,
    program: str,
    *,
    testset: str = "t",
    run: str | None = None,
    among: int = 1,
    scores: str = "s",
) -> Judgement:
    """The judgement of a program whose fingerprint is this text."""
    params = PARAMS.model_copy(update={"num_compared": among})
    called = {"scores": scores, "run": run or f"run of {program}"}
    answer = {"answer": program}
    return JudgedPrograms(path).judge(testset, answer, "lm", params, **called)


def test_each_different_program_spends_of_the_testset(tmp_path: Path) -> None:
    """The k-th program is judged at 0.05 / k^3."""
    path = tmp_path / "judged" / "judged.jsonl"
    alphas = [judge(path, str(number)).alpha for number in range(4)]
    assert alphas == pytest.approx([0.05, 0.05 / 8, 0.05 / 27, 0.05 / 64])


def test_a_repeated_program_costs_nothing(tmp_path: Path) -> None:
    """It keeps its place, and the next one takes the place after the last."""
    path = tmp_path / "judged.jsonl"
    first = judge(path, "a")
    assert [judge(path, "b").place, judge(path, "a"), judge(path, "c").place] == [
        2,
        first,
        3,
    ]
    assert judge(path, "a", run="another") == first
    assert path.read_text().count("testset") == 3


def test_other_scores_of_a_repeated_program_are_one_try_more(tmp_path: Path) -> None:
    """As by a random metric; a line of before scores were recorded holds for all."""
    path = tmp_path / "judged.jsonl"
    assert [judge(path, "a", scores=s).place for s in "sstsu"] == [1, 1, 2, 1, 3]
    before = json.loads(path.read_text().splitlines()[1])
    del before["scores"]
    path.write_text(json.dumps(before))
    assert [judge(path, "a", scores=s).place for s in "tu"] == [1, 1]


def test_a_program_that_cannot_win_spends_nothing(tmp_path: Path) -> None:
    """It is judged at the next place, which stays free."""
    record = JudgedPrograms(tmp_path / "judged.jsonl")
    called = {"scores": "s", "run": "r", "spends": False}
    same = record.judge("t", {"a": "same"}, "lm", PARAMS, **called)
    assert same == judge(tmp_path / "judged.jsonl", "other")


def test_another_testset_is_fresh(tmp_path: Path) -> None:
    """Its first program is its first."""
    path = tmp_path / "judged.jsonl"
    judge(path, "a")
    assert judge(path, "b", testset="u").place == 1


def test_programs_of_one_sweep_share_their_places(tmp_path: Path) -> None:
    """Three configurations each have the mean of three alphas, in whatever order."""
    path = tmp_path / "judged.jsonl"
    judge(path, "before")
    sweep = [judge(path, name, run="sweep", among=3) for name in "abc"]
    assert {one.place for one in sweep} == {2}
    assert sweep[0].alpha == pytest.approx(0.05 * (1 / 8 + 1 / 27 + 1 / 64) / 3)
    assert judge(path, "d", run="sweep", among=3).place == 5
    assert judge(path, "after").place == 8


def test_a_line_cut_short_is_no_judgement(tmp_path: Path) -> None:
    """A kill in the middle of a line costs that line and no other."""
    path = tmp_path / "judged.jsonl"
    judge(path, "a")
    with path.open("a") as file:
        file.write('{"testset": "t", "prog')
    assert judge(path, "b").place == 2
    assert judge(path, "c").place == 3


def test_a_line_says_what_was_judged(tmp_path: Path) -> None:
    """Testset, program, LM and run stand in it."""
    path = tmp_path / "judged.jsonl"
    judge(path, "a")
    line = json.loads(path.read_text())
    assert set(line) == {"testset", "program", "lm", "scores", "run", "among"}
