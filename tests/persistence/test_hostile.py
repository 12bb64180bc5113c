"""A document of unknown origin runs no code and ends in a program or an error."""

import copy
import json
import os
import sys
from pathlib import Path
from typing import Any

import dill
import dspy
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from po_optimizer.errors import ArtifactError, DamagedArtifactError
from po_optimizer.persistence import format as fmt
from po_optimizer.persistence import (
    load_program,
    load_program_from_components,
    save_program,
)
from po_optimizer.persistence.codec.annotations import decode_annotation
from po_optimizer.persistence.codec.imports import Imports
from po_optimizer.persistence.codec.values import Decoder
from tests.persistence import zoo
from tests.persistence.conftest import document, document_bytes

CODE = ("tests",)
TOUCHED: list[str] = []


def touch(*_args: Any, **_kwargs: Any) -> str:
    """What a hostile document would like to be called."""
    TOUCHED.append("touched")
    return "touched"


class Touching:
    """What a hostile document would like to be made."""

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        touch()


def load(stored: dict[str, Any], **options: Any) -> Any:
    """Load a document whose digest was made to fit."""
    return load_program_from_components(fmt.seal(stored), **options)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("os:system", "function"),
        ("subprocess:run", "function"),
        ("subprocess:Popen", "module"),
        ("builtins:eval", "function"),
        ("shutil:rmtree", "function"),
        ("dspy.utils.saving:load", "function"),
        ("dspy.primitives.python_interpreter:PythonInterpreter", "module"),
        ("this:anything", "module"),
        ("tests.persistence.zoo:__loader__.exec_module", "function"),
        ("tests.persistence.zoo:<lambda>", "function"),
        ("tests", "module"),
        ("", "module"),
    ],
)
def test_path_outside_the_allowed_is_not_used(path: str, kind: str) -> None:
    """Paths to dangerous things are refused or not of the kind that is expected."""
    sys.modules.pop("this", None)
    try:
        assert Imports(("dspy", "pydantic", "tests")).find(path, kind) is None
    except ArtifactError as error:
        assert "Nothing was called" in str(error)
    assert "this" not in sys.modules


@pytest.mark.parametrize(
    "name", ["touch", "Touching", "TOUCHED", "json", "os.path", "zoo.weather"]
)
@pytest.mark.parametrize("kind", ["module", "model", "enum", "dataclass"])
def test_wrong_kind_in_an_allowed_package_is_refused(name: str, kind: str) -> None:
    """What an allowed path names must be of the kind expected, and defined there."""
    with pytest.raises(ArtifactError, match="Nothing was called"):
        Imports(CODE).find(f"{__name__}:{name}", kind)
    assert TOUCHED == []


def test_program_class_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A document whose program is some other class of the package is refused."""
    stored = document("plain")
    stored["program"]["class"] = f"{__name__}:Touching"
    with pytest.raises(ArtifactError, match="Nothing was called"):
        load(stored, allowed_packages=CODE)
    assert TOUCHED == []


def test_tool_is_never_a_function_of_a_library() -> None:
    """A document that names a function of the standard library gets none."""
    stored = document("react function")
    stored = json.loads(
        json.dumps(stored).replace("tests.persistence.zoo:weather", "os:system")
    )
    loaded = load(stored, allowed_packages=CODE)
    assert loaded.tools["weather"].func is not os.system


@pytest.mark.parametrize("name", ["__class__", "__dict__", "__init__"])
def test_dunder_attributes_are_refused(name: str) -> None:
    """A document cannot set an attribute that Python itself uses."""
    stored = document("plain")
    stored["program"]["state"][name] = 1
    with pytest.raises(DamagedArtifactError, match="attribute"):
        load(stored)


@pytest.mark.parametrize(
    "node",
    [
        {"$": "nothing"},
        {"$": []},
        {"$": "set", "items": [[]]},
        {"$": "set", "items": [{}]},
        {"$": "int", "v": 3},
        {"$": "fraction", "v": "1e999999999"},
        {"$": "decimal", "v": "x"},
        {"$": "bytes", "v": "?"},
        {"$": "numpy", "dtype": "O", "v": ""},
        {"$": "numpy", "dtype": "<f8", "v": "AA==", "shape": [10**9]},
        {"$": "defaultdict", "factory": {"$": "type", "v": "object"}, "items": []},
        {"$": "timedelta", "items": [10**12]},
        {"$": "timezone", "items": [9], "name": None},
        {"$": "zone", "v": "../../etc/passwd"},
        {"$": "ref", "id": 77},
        {"$": "type", "v": "os.system"},
        {"$": "type", "v": {"import": "os"}},
        {"$": "type", "v": {"of": "int", "args": ["int"]}},
        {"$": "class", "id": "nobody"},
        {"$": "model", "type": "nobody", "v": {}},
        {"$": "enum", "type": [], "name": "x"},
        {"$": "constraint", "v": {"default_factory": 1}},
        {"$": "validator", "kind": "eval", "func": None},
        {"$": "field", "v": {"name": "x"}},
        {
            "$": "signature",
            "name": "x",
            "instructions": "",
            "fields": [{"name": "__a"}],
        },
        {"$": "module"},
    ],
    ids=str,
)
def test_malformed_value_is_an_error_in_words(node: Any) -> None:
    """Each malformed value ends in one error that says the document is damaged."""
    stored = document("plain")
    stored["program"]["state"]["top_k"] = node
    with pytest.raises(DamagedArtifactError, match="is not a program as it was saved"):
        load(stored)


def test_deep_document_is_refused() -> None:
    """Nesting beyond the bound is refused before it exhausts the stack."""
    node: Any = 1
    for _ in range(fmt.MAX_DEPTH * 2 + 10):
        node = [node]
    stored = {**document("plain"), "program": node}
    stored["digest"] = "0" * 64
    data = json.dumps(stored).encode()
    with pytest.raises(DamagedArtifactError):
        load_program_from_components(fmt.parse(data, "deep"))


def test_bounds_of_size_and_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes, values and types are bounded."""
    data = fmt.file_bytes(document("plain"))
    for bound, value in (("MAX_BYTES", 10), ("MAX_NODES", 5), ("MAX_TYPES", -1)):
        with monkeypatch.context() as patch:
            patch.setattr(fmt, bound, value)
            with pytest.raises(DamagedArtifactError, match="over"):
                load_program_from_components(fmt.parse(data, "p"))


@pytest.mark.parametrize("version", [0, -1, True, "1", None, 1.5])
def test_no_version_is_an_error(version: Any) -> None:
    """A format version that none of ours ever was is refused."""
    with pytest.raises(DamagedArtifactError, match="format_version"):
        load({**document("plain"), "format_version": version})


def test_newer_version_says_what_to_do() -> None:
    """A document of a later version is refused with the upgrade to make."""
    with pytest.raises(ArtifactError, match="pip install -U"):
        load({**document("plain"), "format_version": fmt.FORMAT_VERSION + 1})


@pytest.mark.parametrize(
    "data", [b"", b"\x80\x04", b"{}", b"[]", b"null", b"NaN", b"{"]
)
def test_no_program_is_an_error(data: bytes, tmp_path: Path) -> None:
    """What DSPy and dill leave behind when they fail is recognized as no program."""
    path = tmp_path / "p.json"
    path.write_bytes(data)
    with pytest.raises(DamagedArtifactError, match=r"p\.json"):
        load_program(path)


def test_document_that_is_no_json_is_an_error() -> None:
    """A mapping that was never JSON is refused in words."""
    with pytest.raises(DamagedArtifactError):
        load_program_from_components({**document("plain"), "extra": object()})


class Bomb:
    """A pickle that leaves a file behind when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def with_bomb(folder: Path) -> Path:
    """A stored program whose snapshot is a bomb; the path of its document."""
    path = folder / "p.json"
    saved = save_program(zoo.Plain(), path, verify="off")
    (folder / str(saved.snapshot)).write_bytes(dill.dumps(Bomb(folder / "boom")))
    return path


@pytest.mark.parametrize("mode", ["off", "write"])
def test_snapshot_is_not_read_without_load(tmp_path: Path, mode: Any) -> None:
    """In the modes off and write, no byte of a pickle is read."""
    path = with_bomb(tmp_path)
    assert load_program(path, dill=mode, allowed_packages=CODE)
    assert not (tmp_path / "boom").exists()


def test_altered_snapshot_is_not_read(tmp_path: Path) -> None:
    """In the mode load too, a pickle whose digest differs is never unpickled."""
    path = with_bomb(tmp_path)
    assert load_program(path, dill="load", allowed_packages=CODE)
    assert not (tmp_path / "boom").exists()


@pytest.mark.parametrize(
    "name", ["../p.dill", "/etc/p.dill", ".p.dill", "p.pkl", 3, None]
)
def test_snapshot_elsewhere_is_not_read(tmp_path: Path, name: Any) -> None:
    """A document cannot lead to a pickle outside its folder."""
    path = tmp_path / "p.json"
    save_program(zoo.Plain(), path, verify="off")
    stored = fmt.parse(path.read_bytes(), "p")
    stored["snapshot"]["file"] = name
    path.write_bytes(fmt.file_bytes(fmt.seal(stored)))
    assert load_program(path, dill="load", allowed_packages=CODE)


PLACES = [document("predict typed"), document("nested improved"), document("values")]
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["$", "v", "items", "type", "of"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)


def replace_somewhere(node: Any, position: int, junk: Any) -> Any:
    """The node with the part at that position, in depth-first order, replaced."""
    left = [position]

    def walk(part: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            return junk
        if isinstance(part, dict):
            return {key: walk(value) for key, value in part.items()}
        return [walk(value) for value in part] if isinstance(part, list) else part

    return walk(node)


def load_altered(which: int, position: int, junk: Any) -> None:
    """Load a document with a part replaced: a program or an error of ours."""
    stored = copy.deepcopy(PLACES[which])
    for part in ("program", "types"):
        changed = replace_somewhere(stored[part], position, junk)
        try:
            loaded = load({**stored, part: changed}, allowed_packages=())
        except ArtifactError:
            continue
        assert isinstance(loaded, dspy.Module)


ALTERED = (st.sampled_from(range(3)), st.integers(1, 400), JUNK)


@example(1, 200, None)  # a demo is no demo
@settings(max_examples=40, deadline=None)
@given(*ALTERED)
def test_altered_documents_load_or_fail_in_words(
    which: int, position: int, junk: Any
) -> None:
    """A document with any part replaced, digest and all, is a program or an error."""
    load_altered(which, position, junk)


@pytest.mark.exhaustive
@settings(max_examples=2000, deadline=None)
@given(*ALTERED)
def test_many_altered_documents(which: int, position: int, junk: Any) -> None:
    """The same, two thousand times."""
    load_altered(which, position, junk)


def test_literal_without_values_is_damage() -> None:
    """An empty Literal is told as damage, where pydantic would assert."""
    decoder = Decoder(Imports(("dspy",)), {})
    with pytest.raises(DamagedArtifactError):
        decode_annotation(decoder, {"literal": []})


def test_key_that_stands_twice_is_refused() -> None:
    """Of two values of a key other readers may show the one that is not used."""
    data = document_bytes("nested improved")
    data = data.replace(b'"config":', b'"config":{"n":9},"config":', 1)
    with pytest.raises(DamagedArtifactError, match="stands twice"):
        fmt.parse(data, "p.json")
