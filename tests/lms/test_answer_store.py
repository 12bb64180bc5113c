"""Answers on the disk: data that survives, and that nothing executes."""

import os
import signal
import sqlite3
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from dspy.clients.call_result import CallResult
from dspy.lm15 import Message, Response, TextPart, Usage

from po_optimizer.lms.answer_store import FILE, Answers
from po_optimizer.lms.cache import KeptAnswer, digest

KEY = "a" * 64
MESSAGE = Message(role="assistant", parts=(TextPart(text="forty-two"),))
RECORD = CallResult.native(
    Response(id=None, model="m", message=MESSAGE, finish_reason="stop", usage=Usage())
).dump()

needs_modes = pytest.mark.skipif(sys.platform == "win32", reason="has no such modes")


def tamper(folder, *statements):
    """Does to the file what somebody with a pencil could do."""
    connection = sqlite3.connect(folder / FILE, isolation_level=None)
    for statement in statements:
        connection.execute(*statement)
    connection.close()


@pytest.mark.parametrize(
    "value",
    [
        "a text",
        12,
        1.5,
        None,
        b"\xff\xfe",
        b"no json",
        b'{"cut',
        b"[" * 100_000,
        b"9" * 5000,
    ],
)
def test_row_of_another_kind_is_a_miss(tmp_path, value):
    """It is asked for again and replaced; nothing is guessed."""
    answers = Answers(tmp_path)
    tamper(
        tmp_path,
        ("DROP TABLE answers",),
        ("CREATE TABLE answers (key TEXT PRIMARY KEY, answer)",),
        ("INSERT INTO answers VALUES (?, ?)", (KEY, value)),
    )
    assert answers.get(KEY, {}) is None
    answers.put(KEY, "new")
    assert answers.get(KEY, {}) == "new"


def test_row_too_large_to_be_an_answer_is_a_miss(tmp_path):
    """Its size is looked at before it is read."""
    answers = Answers(tmp_path)
    insert = "INSERT INTO answers VALUES (?, zeroblob(?))"
    tamper(tmp_path, (insert, (KEY, 2**27 + 1)))
    assert answers.get(KEY, {}) is None


@pytest.mark.parametrize(
    "record",
    [{"_dspy_format": "dspy-lm15-result-v1"}, {**RECORD, "responses": [{"id": 1}]}],
)
def test_record_that_dspy_cannot_read_is_a_miss(tmp_path, record):
    """It would end as that example's failure otherwise."""
    Answers(tmp_path).put(digest({}), record)
    assert KeptAnswer(tmp_path, {}).load(None, None) is None


@pytest.mark.parametrize(
    "schema",
    [
        "CREATE TABLE other (key TEXT)",
        "CREATE VIEW answers AS SELECT 'a' AS key, zeroblob(900000000) AS answer",
        "CREATE TRIGGER t AFTER INSERT ON answers BEGIN DELETE FROM answers; END",
    ],
)
def test_file_with_another_schema_is_refused(tmp_path, schema):
    """A view or a trigger would be executed: only our table is taken."""
    if "TRIGGER" in schema:
        Answers(tmp_path)
    tamper(tmp_path, (schema,))
    with pytest.raises(sqlite3.DatabaseError, match="something else"):
        Answers(tmp_path)


@needs_modes
def test_link_is_not_followed(tmp_path):
    """What it leads to is neither made nor written."""
    folder, outside = tmp_path / "cache", tmp_path / "outside"
    folder.mkdir()
    (folder / FILE).symlink_to(outside)
    with pytest.raises(OSError, match=FILE):
        Answers(folder)
    assert not outside.exists()


@needs_modes
def test_answers_are_for_their_owner_alone(tmp_path):
    """Prompts and answers may hold what nobody else is to read."""
    Answers(tmp_path).put(KEY, "secret")
    Answers(tmp_path).get(KEY, {})
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {0o600}


def test_half_a_character_becomes_a_replacement(tmp_path):
    """A lone surrogate could not be written; two halves are one character."""
    answers = Answers(tmp_path)
    answers.put(KEY, {"text": "x\ud83d", "pair": "\ud83d\ude00"})
    assert answers.get(KEY, {}) == {"text": "x\ufffd", "pair": "\U0001f600"}


def test_many_threads_read_and_write_one_file(tmp_path):
    """8 threads, 400 answers through two openings of the file: none is lost."""
    openings = [Answers(tmp_path), Answers(tmp_path)]

    def put(n):
        openings[n % 2].put(f"{n:064x}", {"n": n})
        return openings[(n + 1) % 2].get(f"{n:064x}", {})

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(put, range(400))) == [{"n": n} for n in range(400)]


WRITER = """
import sys
from pathlib import Path
from po_optimizer.lms.answer_store import Answers
print("ready", flush=True)
sys.stdin.readline()
answers = Answers(Path(sys.argv[1]))
for n in range(int(sys.argv[2]), int(sys.argv[2]) + 10_000):
    answers.put(f"{n:064x}", {"n": n, "text": "x" * 5000})
    print(n, flush=True)
"""


def start_writers(folder, count):
    """Processes that open the file at the same moment and write until killed."""
    pipe, root = subprocess.PIPE, Path(__file__).parents[2]
    writers = [
        subprocess.Popen(  # noqa: S603
            [sys.executable, "-c", WRITER, str(folder), str(10_000 * number)],
            stdin=pipe,
            stdout=pipe,
            cwd=root,
        )
        for number in range(count)
    ]
    for writer in writers:
        assert writer.stdout.readline() == b"ready\n"
    for writer in writers:
        writer.stdin.write(b"go\n")
        writer.stdin.flush()
    return writers


@needs_modes
def test_killed_writers_lose_no_answer_that_was_kept(tmp_path):
    """3 processes open a new file at once and are killed amid writing."""
    writers = start_writers(tmp_path, 3)
    kept = [int(writer.stdout.readline()) for _ in range(20) for writer in writers]
    for writer in writers:
        os.kill(writer.pid, signal.SIGKILL)
    for writer in writers:
        rest = writer.stdout.read().decode().split("\n")
        writer.wait()
        kept += [int(line) for line in rest[:-1]]  # the last may be cut
    answers = Answers(tmp_path)
    assert all(answers.get(f"{n:064x}", {})["n"] == n for n in kept)
