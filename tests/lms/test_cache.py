"""Paid answers: kept per endpoint, written or heard of, never executed."""

import errno
import sqlite3

import dspy
import pytest

from po_optimizer.lms.answer_store import FILE, Answers
from po_optimizer.lms.build import make_lm
from po_optimizer.lms.cache import identifying
from po_optimizer.lms.lm import use_lm
from po_optimizer.lms.stops import WriteFailed
from po_optimizer.params.lm import DecodingBounds, LMParams
from tests.scripted import ScriptedEngine, fixed_fields, scripted_lm

ANSWER = fixed_fields(answer="42")


def ask(lm):
    """One program call on the LM."""
    with use_lm(lm, stage="test"):
        return dspy.Predict("question -> answer")(question="why?").answer


def refuse_writes(monkeypatch, error):
    """Makes every write into a disk cache fail."""

    def refuse(*args, **kwargs):
        raise error

    monkeypatch.setattr(Answers, "put", refuse)


def kept(folder, key="k"):
    """What a cache that was opened anew has under a key."""
    return Answers(folder).get(key, {})


def test_kept_answer_is_read_back_from_the_disk(tmp_path):
    """Another process has the answer, and nothing is made up."""
    Answers(tmp_path).put("k", {"text": "hello"})
    assert kept(tmp_path) == {"text": "hello"}
    assert kept(tmp_path, "other") is None


def test_answers_of_two_endpoints_do_not_mix(tmp_path):
    """One model name behind two addresses: each answers for itself."""
    lms = [
        make_lm(
            LMParams(provider="openai", model="m", api_base=f"http://{host}"),
            tmp_path,
            run_id="r",
        )
        for host in ("one", "two")
    ]
    for number, lm in enumerate(lms):
        lm._engine_spec._engine = ScriptedEngine(fixed_fields(answer=str(number)))
    assert [ask(lm) for lm in lms] == ["0", "1"]
    assert [ask(lm) for lm in lms] == ["0", "1"]
    assert [len(lm._engine_spec._engine.prompts) for lm in lms] == [1, 1]


def test_other_bounds_have_other_answers(tmp_path):
    """Decoding bounds change what the LM writes, so they part the cache."""
    plain = LMParams(provider="openai", model="m", api_base="http://one")
    bounded = plain.model_copy(update={"bounds": DecodingBounds()})
    folders = {
        make_lm(params, tmp_path, run_id="r").cache_folder
        for params in (plain, bounded, plain)
    }
    assert len(folders) == 2


@pytest.mark.parametrize(
    "error",
    [
        sqlite3.OperationalError("database or disk is full"),
        OSError(errno.ENOSPC, "No space left on device"),
        sqlite3.OperationalError("database is locked"),
    ],
)
def test_failed_write_stops_the_run(tmp_path, monkeypatch, error):
    """DSPy would log it at DEBUG and pay again next time."""
    lm = scripted_lm(ANSWER, tmp_path)
    refuse_writes(monkeypatch, error)
    with pytest.raises(WriteFailed, match=r"response_cache.*Make room"):
        ask(lm)
    assert isinstance(lm.meter.stopped, WriteFailed)


def test_dspy_s_own_cache_is_left_alone(tmp_path, monkeypatch):
    """It is neither replaced nor asked."""
    monkeypatch.setattr(dspy, "cache", None)
    assert ask(scripted_lm(ANSWER, tmp_path)) == "42"
    assert dspy.cache is None


def test_folder_that_cannot_be_made_stops_the_run(tmp_path):
    """A cache that is not there would lose every answer."""
    lm = scripted_lm(ANSWER, tmp_path)
    lm.cache_folder.parent.mkdir()
    lm.cache_folder.write_text("a file where the folder should be")
    with pytest.raises(WriteFailed, match="response_cache"):
        ask(lm)


def test_broken_cache_file_stops_the_run(tmp_path):
    """A damaged database is our failure, not the program's."""
    lm = scripted_lm(ANSWER, tmp_path)
    lm.cache_folder.mkdir(parents=True)
    (lm.cache_folder / FILE).write_bytes(b"this is no database" * 1000)
    with pytest.raises(WriteFailed, match="response_cache"):
        ask(lm)


def test_answers_are_never_evicted(tmp_path):
    """12 MB, over DSPy's default limit of 10 MB, stay readable."""
    cache = Answers(tmp_path)
    for number in range(24):
        cache.put(str(number), {"text": "x" * 500_000})
    fresh = Answers(tmp_path)
    assert all(fresh.get(str(number), {}) for number in range(24))


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("api_key", True),
        ("azure_ad_token", True),
        ("extra_headers", True),
        ("tokenizer", False),
        ("author", False),
        ("prompt", False),
    ],
)
def test_answers_are_kept_by_all_that_is_no_secret(name, secret):
    """A renewed key finds the answers; whatever decides the answer tells them apart."""
    keys = {str(identifying({"model": "m", name: value})) for value in ("a", "b")}
    assert len(keys) == (1 if secret else 2)
