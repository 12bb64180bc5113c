"""Saving and loading at a path: verified, with a snapshot, rescued when it fails."""

import json
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import dspy
import jsonschema
import pytest

from po_optimizer.errors import (
    ArtifactError,
    DamagedArtifactError,
    SaveError,
    SettingError,
)
from po_optimizer.files import LocalFolder
from po_optimizer.persistence import (
    attach_provenance,
    get_provenance,
    load_program,
    load_program_from_components,
    save_program,
    snapshot,
    store,
    verify,
)
from po_optimizer.persistence import format as fmt
from po_optimizer.persistence.codec.values import Encoder
from po_optimizer.persistence.components import encode, inspect_program
from po_optimizer.persistence.promoted import find_version
from po_optimizer.persistence.prompts import prompt_hashes
from po_optimizer.persistence.verify import Verifier
from tests.persistence import zoo
from tests.persistence.conftest import ROOT, program
from tests.persistence.test_components import SCHEMA

CODE = ("tests",)


def stored_document(path: Path) -> dict[str, Any]:
    """The document at a path."""
    return fmt.parse(path.read_bytes(), str(path))


@pytest.mark.parametrize(
    ("mode", "check"),
    [("off", "inline"), ("write", "off"), ("load", "inline"), ("load", "process")],
)
def test_every_combination_of_modes(tmp_path: Path, check: Any, mode: Any) -> None:
    """Each verification with each snapshot mode stores the same program."""
    path = tmp_path / "deep" / "p.json"
    saved = save_program(program("plain improved"), path, dill=mode, verify=check)
    loaded = load_program(path, dill=mode, allowed_packages=CODE)
    assert prompt_hashes(loaded) == prompt_hashes(program("plain improved"))
    assert (saved.n_predictors, saved.n_demos) == (1, 2)
    assert (saved.snapshot is None) == (mode == "off")
    jsonschema.validate(stored_document(path), SCHEMA)


@pytest.mark.parametrize("name", sorted(zoo.ZOO.keys() - {"holding unpicklable"}))
def test_snapshot_of_every_program(name: str) -> None:
    """The snapshot works where plain dill fails, renders the same, holds no secret."""
    data = snapshot.dumps(program(name))
    assert prompt_hashes(snapshot.loads(data)) == prompt_hashes(program(name))
    assert b"canary" not in data


class Client:
    """A client as people write it: its key's name says nothing."""

    def __init__(self, key: str) -> None:
        self.key = key


@pytest.mark.parametrize(
    "key",
    [
        "sk-canary-0123456789",
        "ghp_canary0123456789abcd",
        "AKIACANARY0123456789",
        "Bearer canary-0123456789",
        "postgres://canary:pw@db/rows",
    ],
)
def test_what_looks_like_a_key_is_in_no_file(tmp_path: Path, key: str) -> None:
    """Under whatever name it is held, by the program or by a client of its."""
    holder: Any = program("plain").deepcopy()
    holder.access, holder.client = key, Client(key)
    saved = save_program(holder, tmp_path / "p.json", verify="inline")
    assert saved.snapshot_problem is not None
    assert "Client holds a secret, key" in saved.snapshot_problem
    assert not any(key.encode() in file.read_bytes() for file in tmp_path.iterdir())


def test_ordinary_texts_are_no_keys(tmp_path: Path) -> None:
    """A locale, a package, addresses and sentences are stored."""
    texts = ["sk-SK", "sk-learn-pipelines", "https://a.b/c", "me@a.b", "Basic literacy"]
    holder: Any = program("plain").deepcopy()
    holder.texts = {str(number): text for number, text in enumerate(texts)}
    save_program(holder, tmp_path / "p.json", dill="off", verify="off")
    assert stored_document(tmp_path / "p.json")["not_stored"] == []


def test_snapshot_brings_back_code(tmp_path: Path) -> None:
    """In the mode load, a closure that no document holds is there."""
    path = tmp_path / "p.json"
    save_program(zoo.knn_compiled(), path, dill="load", verify="inline")
    loaded: Any = load_program(path, dill="load")
    assert loaded.forward.__func__.__name__ == "forward_pass"


def test_snapshot_is_read_back_in_a_fresh_process(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A snapshot that only loads where it was made is not published; the reason is."""
    script = (
        "import dspy\n"
        "from po_optimizer.persistence import save_program\n"
        "class Mine(dspy.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.p = dspy.Predict('a -> b')\n"
        "made = Mine()\n"
        "import sys, types\n"
        "Mine.__module__ = 'gone'\n"
        "sys.modules['gone'] = types.ModuleType('gone')\n"
        "sys.modules['gone'].Mine = Mine\n"
        f"print(save_program(made, {str(tmp_path / 'p.json')!r}).snapshot_problem)\n"
    )
    command = [sys.executable, "-c", script]
    env = {"PYTHONPATH": str(ROOT / "src"), "HOME": str(tmp_path)}
    done = subprocess.run(  # noqa: S603 our own interpreter
        command, env=env, capture_output=True, text=True, check=True
    )
    assert "No module named 'gone'" in done.stdout
    entry = stored_document(tmp_path / "p.json")["snapshot"]
    assert "No module named 'gone'" in entry["missing"]
    with caplog.at_level(logging.WARNING):
        assert load_program(tmp_path / "p.json", dill="load")
    assert "none was stored" in caplog.text


def test_program_without_a_snapshot_says_why(tmp_path: Path) -> None:
    """What dill cannot pickle is stored as a document all the same, with the reason."""
    saved = save_program(
        program("holding unpicklable"), tmp_path / "p.json", verify="inline"
    )
    assert saved.snapshot is None
    assert "generator" in str(saved.snapshot_problem)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda entry: entry["made_with"].update(dspy="3.0"), "made with"),
        (lambda entry: entry.update(file="p-none.dill"), "is not there"),
    ],
)
def test_unusable_snapshot_falls_back(
    tmp_path: Path, change: Any, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Other versions or a missing file: the components serve, the log says why."""
    path = tmp_path / "p.json"
    save_program(program("plain"), path, verify="off")
    stored = stored_document(path)
    change(stored["snapshot"])
    path.write_bytes(fmt.file_bytes(fmt.seal(stored)))
    with caplog.at_level(logging.WARNING):
        assert load_program(path, dill="load", allowed_packages=CODE)
    assert reason in caplog.text


@pytest.mark.parametrize("which", ["fails", "differs"])
def test_snapshot_that_is_no_program_falls_back(
    tmp_path: Path, which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A snapshot that does not unpickle, or to another program, is not used."""

    def loads(_data: bytes) -> Any:
        if which == "fails":
            raise ImportError("gone")
        return dspy.Predict("x -> y")

    path = tmp_path / "p.json"
    save_program(program("plain"), path, verify="off")
    monkeypatch.setattr(snapshot, "loads", loads)
    assert isinstance(load_program(path, dill="load", allowed_packages=CODE), zoo.Plain)
    again = save_program(program("plain"), path, verify="inline")
    assert again.snapshot is None


def test_replaced_snapshot_is_removed(tmp_path: Path) -> None:
    """Saving over a program leaves one document and one snapshot."""
    for name in ("plain", "plain improved"):
        save_program(program(name), tmp_path / "p.json", verify="off")
    assert len(list(tmp_path.iterdir())) == 2


def test_unstorable_program_is_rescued(tmp_path: Path) -> None:
    """The error names the attribute and the rescue file, which has all the rest."""
    path = tmp_path / "p.json"
    save_program(program("plain"), path, verify="off")
    bad = zoo.with_demos(zoo.Plain(), zoo.demo(), zoo.demo(extra=object()))
    with pytest.raises(
        SaveError, match=r"self\.answer\.demos\[1\].*untouched"
    ) as caught:
        save_program(bad, path, verify="off")
    (rescue,) = tmp_path.glob("*.rescue.json")
    assert str(rescue) in str(caught.value)
    rescued: Any = load_program_from_components(rescue, allowed_packages=CODE)
    assert len(rescued.answer.demos) == 2
    assert load_program(path, allowed_packages=CODE).answer.demos == []


def test_rescue_of_texts_holds_instructions_and_demos(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If nothing can be encoded, the rescue file has every instruction and demo."""
    monkeypatch.setattr(store, "encode", lambda *_args: int("none"))
    program = zoo.with_demos(zoo.Plain(), {"question": "kept?"})
    with pytest.raises(SaveError, match="rescue"):
        save_program(program, tmp_path / "p.json", verify="off")
    (path,) = tmp_path.glob("*.rescue.json")
    assert "kept?" in path.read_text()
    assert "question" in path.read_text()


def test_rescue_of_a_cycle_holds_all_the_rest(tmp_path: Path) -> None:
    """A demo that contains itself is cut where it does; what is rescued loads."""
    loop: dict[str, Any] = {"text": "kept?"}
    loop["self"] = loop
    broken = zoo.with_demos(zoo.Plain(), {"question": loop}, zoo.demo())
    with pytest.raises(SaveError, match=r"demos\[0\]\['question'\]\['self'\] cannot"):
        save_program(broken, tmp_path / "p.json", verify="off")
    (path,) = tmp_path.glob("*.rescue.json")
    rescued: Any = load_program_from_components(path, allowed_packages=CODE)
    assert rescued.answer.demos[0]["question"]["text"] == "kept?"
    assert rescued.answer.demos[1] == zoo.demo()


def test_document_that_reads_back_differently_is_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the disk gives back is compared; a difference keeps the old program."""
    path = tmp_path / "p.json"
    save_program(program("plain"), path, verify="off")
    before = path.read_bytes()
    monkeypatch.setattr(verify, "_prompts_of", lambda _path: {"self.answer": "other"})
    with pytest.raises(SaveError, match=r"self\.answer"):
        save_program(program("plain improved"), path, verify="inline")
    assert path.read_bytes() == before


def test_unreadable_document_is_a_problem_of_the_process(tmp_path: Path) -> None:
    """The process reports in one sentence why it could not read a file back."""
    path = tmp_path / "p.json"
    path.write_bytes(b"\x80\x04")
    findings = Verifier().read_back(path, {}, None)
    assert "not a program as it was saved" in str(findings.problem)


def test_process_that_takes_too_long_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading back has a time limit."""
    monkeypatch.setattr(verify, "_TIMEOUT_SECONDS", 0.01)
    findings = Verifier().read_back(tmp_path / "p.json", {}, None)
    assert "seconds" in str(findings.problem)


def test_verifier_main_answers_in_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The process's side prints the prompts of the document, then of the snapshot."""
    path = tmp_path / "p.json"
    saved = save_program(program("plain"), path, verify="off")
    order = fmt.dump(
        {
            "document": str(path),
            "snapshot": str(tmp_path / str(saved.snapshot)),
            "calls": None,
        }
    )
    monkeypatch.setattr(sys, "stdin", __import__("io").StringIO(order.decode()))
    verify.main()
    answers = verify._answers(capsys.readouterr().out)
    assert answers["prompts"] == answers["snapshot"]
    assert answers["calls"] is None


def test_provenance_survives_both_ways(tmp_path: Path) -> None:
    """Provenance is there again after a load, from the snapshot too."""
    path = tmp_path / "p.json"
    save_program(attach_provenance(program("plain"), {"seed": 1}), path, verify="off")
    for mode in ("off", "load"):
        loaded = load_program(path, dill=mode, allowed_packages=CODE)  # type: ignore[arg-type]
        assert get_provenance(loaded) == {"seed": 1}


def test_saving_does_not_change_the_program(tmp_path: Path) -> None:
    """A save leaves the program's own state as it was."""
    made = zoo.with_lm()
    before = fmt.dump(encode(Encoder(), made))
    save_program(made, tmp_path / "p.json", verify="off")
    assert fmt.dump(encode(Encoder(), made)) == before
    assert made.answer.lm is not None


def test_two_saves_of_one_program_are_equal(tmp_path: Path) -> None:
    """The document depends on the program only: no time, no path, no order of sets."""
    digests = {
        save_program(
            program(name), tmp_path / f"{i}.json", dill="off", verify="off"
        ).digest
        for i, name in enumerate(["values", "values"])
    }
    assert len(digests) == 1


def test_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    """A path at which nothing is stored is named."""
    with pytest.raises(DamagedArtifactError, match="no such file"):
        load_program(tmp_path / "p.json")


@pytest.mark.parametrize("setting", ["dill", "verify"])
def test_unknown_mode_is_an_error(tmp_path: Path, setting: str) -> None:
    """A mode that does not exist is refused with those that do."""
    with pytest.raises(SettingError, match="one of"):
        save_program(program("plain"), tmp_path / "p.json", **{setting: "maybe"})  # type: ignore[arg-type]


FROZEN = sorted((Path(__file__).parent / "frozen").glob("*.json"))


@pytest.mark.parametrize("path", FROZEN, ids=lambda path: path.stem)
def test_frozen_artifacts_still_load(path: Path) -> None:
    """A file of every format version ever released loads with all that was in it."""
    loaded = load_program_from_components(path, allowed_packages=())
    stored = stored_document(path)
    predictors = prompt_hashes(loaded, whole=fmt.WHOLE in stored)
    assert len(predictors) == stored["n_predictors"]
    if stored["made_with"] == fmt.versions():
        assert set(predictors.values()) == set(stored["fingerprint"].values())


def test_promoted_program_of_an_earlier_version_is_found(tmp_path: Path) -> None:
    """By the fingerprint that it had then, and by the one that it has now."""
    data = (Path(__file__).parent / "frozen/v2-nested-improved.json").read_bytes()
    (tmp_path / "of_then").mkdir()
    (tmp_path / "of_then" / "program.json").write_bytes(data)
    now = prompt_hashes(inspect_program(data, "memory"))
    then = json.loads(data)["fingerprint"]
    assert now != then
    for fingerprint in (now, then):
        version = find_version(LocalFolder(tmp_path), "program.json", fingerprint)
        assert version == "of_then"


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("value", ["other", None, ["a"], [1.5], {"a": True}, {1: 2}])
def test_every_value_of_a_demo_is_in_the_fingerprint(number: int, value: Any) -> None:
    """Of the first demo and of a later one, whether it is rendered or not."""
    demos = [dspy.Example(question="q", answer="a") for _ in range(2)]
    predictor = dspy.Predict("question -> answer")
    predictor.demos = demos
    before = prompt_hashes(predictor)
    demos[number].answer = value
    assert prompt_hashes(predictor) != before


@pytest.mark.parametrize("part", ["demos", "signature"])
def test_what_cannot_be_rendered_has_a_fingerprint_all_the_same(part: str) -> None:
    """A damaged document is told as damage, not by what rendering stumbles over."""
    predictor = dspy.Predict("question -> answer")
    setattr(predictor, part, [None])
    (digest,) = prompt_hashes(predictor).values()
    assert digest


def test_every_format_version_has_a_frozen_artifact() -> None:
    """Each version up to the current one is kept as a file."""
    kept = {json.loads(path.read_bytes())["format_version"] for path in FROZEN}
    assert kept == set(range(1, fmt.FORMAT_VERSION + 1))


def test_snapshot_of_another_origin_is_not_removed(tmp_path: Path) -> None:
    """A file that a document only names stays; one that another document names, too."""
    path = tmp_path / "p.json"
    saved = save_program(zoo.Plain(), path, verify="off")
    (tmp_path / "copy.json").write_bytes(path.read_bytes())
    foreign = [tmp_path / "p-0123456789abcdef.dill", tmp_path / "precious.dill"]
    for file in foreign:
        file.write_bytes(b"mine")
    document = {
        **fmt.parse(path.read_bytes(), ""),
        "snapshot": {"file": foreign[1].name},
    }
    path.write_bytes(fmt.file_bytes(fmt.seal(document)))
    save_program(zoo.improved(zoo.Plain()), path, verify="off")
    assert all(file.exists() for file in foreign)
    assert (tmp_path / str(saved.snapshot)).exists()


def test_private_program_stays_private(tmp_path: Path) -> None:
    """The snapshot of a private document is private too."""
    path = tmp_path / "p.json"
    save_program(zoo.Plain(), path, verify="off", dill="off")
    path.chmod(0o600)
    save_program(zoo.improved(zoo.Plain()), path, verify="off")
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}


@pytest.mark.parametrize("read", [load_program, load_program_from_components])
def test_what_is_no_file_is_refused_unread(tmp_path: Path, read: Any) -> None:
    """A pipe, a device, a folder and a huge file: by kind and size, at once."""
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(3 * 2**30)
    for path, kind in (
        (tmp_path / "pipe", "named pipe"),
        (Path("/dev/zero"), "device"),
        (tmp_path, "folder"),
        (tmp_path / "huge", "3,221,225,472 bytes"),
    ):
        with pytest.raises(ArtifactError, match=kind):
            read(path)


def test_thread_never_reaches_a_snapshot(tmp_path: Path) -> None:
    """An object with a thread of its own, unpickled, would be waited for for ever."""
    worker = threading.Thread(target=print)
    holding = zoo.Plain()
    holding.worker = worker  # type: ignore[attr-defined]
    saved = save_program(holding, tmp_path / "p.json", verify="inline")
    assert "a thread of its own" in str(saved.snapshot_problem)
