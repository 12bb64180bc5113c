"""An earlier version's cache: its plain answers are taken over, nothing is run."""

import pickle
import sqlite3
from copyreg import add_extension, remove_extension

import diskcache
import pytest
from dspy.clients.call_result import CallResult
from dspy.lm15 import Message, Response, TextPart, Usage
from hypothesis import given
from hypothesis import strategies as st

from po_optimizer.lms.answer_store import FILE, Answers, NotPlainError, plain_value
from po_optimizer.lms.cache import EndpointCache

RECORD = CallResult.native(
    Response(
        id=None,
        model="m",
        message=Message(role="assistant", parts=(TextPart(text="forty-two"),)),
        finish_reason="stop",
        usage=Usage(input_tokens=3, output_tokens=1),
    )
).dump()
KEY = "b" * 64

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda part: st.lists(part) | st.dictionaries(st.text(), part),
    max_leaves=20,
)


def text(value):
    """The opcode of a short text."""
    data = value.encode()
    return b"\x8c" + bytes([len(data)]) + data


@pytest.fixture
def old(tmp_path):
    """DSPy's disk cache as earlier versions kept it, in the same folder."""
    with diskcache.FanoutCache(str(tmp_path), shards=16, timeout=10) as cache:
        yield cache


def change(folder, **columns):
    """Overwrites columns of every entry of an old cache."""
    for database in folder.glob("*/cache.db"):
        connection = sqlite3.connect(database, isolation_level=None)
        for name, value in columns.items():
            connection.execute(f"UPDATE Cache SET {name} = ?", (value,))  # noqa: S608
        connection.close()


def test_answers_of_an_old_cache_are_found(tmp_path, old):
    """Those in the database, and those that have files of their own."""
    large = {**RECORD, "outputs": ["x" * 100_000]}
    request = {"model": "m"}
    old.set(EndpointCache.cache_key(None, request), RECORD)
    old.set(KEY, large)
    cache = EndpointCache(tmp_path)
    assert cache.get(request)["outputs"] == ["forty-two"]
    assert cache.answers.get(KEY)["outputs"] == large["outputs"]


def test_old_cache_is_taken_over_once(tmp_path, old):
    """What is put there later belongs to the earlier version."""
    old.set(KEY, RECORD)
    Answers(tmp_path)
    old.set("c" * 64, RECORD)
    assert Answers(tmp_path).get("c" * 64) is None


def test_old_half_character_is_repaired(tmp_path, old):
    """Such an answer made every rerun fail."""
    old.set(KEY, {**RECORD, "outputs": ["\ud83d", '{"a": "\\ud83d"}']})
    assert Answers(tmp_path).get(KEY)["outputs"] == ["\ufffd", '{"a": "\\ufffd"}']


def test_file_outside_is_neither_read_nor_removed(tmp_path, old):
    """The column `filename` is only followed to names that diskcache gives."""
    folder, outside = tmp_path, tmp_path.parent / "outside.val"
    outside.write_bytes(pickle.dumps("secret"))
    old.set(KEY, RECORD)
    for name in ("../../outside.val", str(outside), "00/00/../../outside.val"):
        change(folder, value=None, filename=name)
        answers = Answers(folder)
        assert answers.get(KEY) is None
        answers.put(KEY, "new")
        (folder / FILE).unlink()
    assert outside.exists()


def test_link_in_an_old_cache_is_not_followed(tmp_path, old):
    """Nor one under a name that diskcache would give."""
    outside = tmp_path.parent / "outside.val"
    outside.write_bytes(pickle.dumps("secret"))
    old.set(KEY, RECORD)
    name = f"ab/cd/{'0' * 28}.val"
    for shard in tmp_path.glob("0*"):
        (shard / name).parent.mkdir(parents=True)
        (shard / name).symlink_to(outside)
    change(tmp_path, value=None, filename=name)
    assert Answers(tmp_path).get(KEY) is None


def test_old_database_that_is_damaged_costs_its_answers(tmp_path, old):
    """The other shards are read."""
    for n in range(64):
        old.set(f"{n:064x}", RECORD)
    next(tmp_path.glob("003/cache.db")).write_bytes(b"no database" * 500)
    (tmp_path / "003" / "cache.db-wal").unlink(missing_ok=True)
    answers = Answers(tmp_path)
    assert sum(answers.get(f"{n:064x}") is not None for n in range(64)) > 32


HOSTILE = {
    "global": b"\x80\x04cbuiltins\nopen\n" + text("{path}") + text("w") + b"\x86R.",
    "stack": b"\x80\x04" + text("builtins") + text("open") + b"\x93"
    + text("{path}") + text("w") + b"\x86R.",
    "dotted": b"\x80\x04" + text("litellm.types.utils") + text("json.codecs.open")
    + b"\x93" + text("{path}") + text("w") + b"\x86R.",
    "inst": b"\x80\x04(" + text("{path}") + text("w") + b"ibuiltins\nopen\n.",
    "extension": b"\x80\x04\x82\x01" + text("{path}") + text("w") + b"\x86R.",
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_pickle_that_names_code_is_not_followed(tmp_path, name):
    """Unpickled, each would make a file; here each is left out."""
    path = tmp_path / "made"
    data = text(str(path))
    hostile = HOSTILE[name].replace(text("{path}"), data)
    add_extension("builtins", "open", 1)
    try:
        pickle.loads(hostile).close()  # noqa: S301 -- shows what it would do
        assert path.exists()
        path.unlink()
        with pytest.raises(NotPlainError):
            plain_value(hostile)
    finally:
        remove_extension("builtins", "open", 1)
    assert not path.exists()


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b".",
        b"\x80\x04",
        b"\x80\x04(.",
        b"\x80\x04]a.",
        b"\x80\x04}(K\x01u.",
        b"\x80\x04}K\x01K\x02s.",
        b"\x80\x04h\x09.",
        b"\x80\x04Na.",
        b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xff.",
        b"\x80\x04r\xff\xff\xff\xff.",
        b"\x80\x04](" + b"]\x94" + b"h\x00" * 2 + b"e.",
    ],
)
def test_damaged_pickle_is_left_out(damaged):
    """Whatever its bytes say, it ends in the same refusal."""
    with pytest.raises(NotPlainError):
        plain_value(damaged)


def test_text_that_is_referred_to_without_end_is_left_out():
    """A few kilobytes could stand for terabytes."""
    bomb = b"\x80\x04](X" + (10**6).to_bytes(4, "little") + b"x" * 10**6 + b"\x94"
    with pytest.raises(NotPlainError, match="too much"):
        plain_value(bomb + b"h\x00" * 200 + b"e.")


@given(PLAIN)
def test_plain_values_come_back_as_they_were(value):
    """As pickle itself reads them."""
    assert plain_value(pickle.dumps(value, pickle.HIGHEST_PROTOCOL)) == value
