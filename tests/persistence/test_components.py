"""Programs as people write them survive as documents, prompt for prompt."""

import collections
import dataclasses
import itertools
import json
import logging
import types
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import dspy
import jsonschema
import pytest
from dspy.utils.callback import BaseCallback
from pydantic import BaseModel, InstanceOf, PrivateAttr

from po_optimizer.errors import (
    ArtifactError,
    DamagedArtifactError,
    NotStorableError,
    NotStoredError,
    SaveError,
)
from po_optimizer.persistence import (
    attach_provenance,
    extract_program_components,
    get_provenance,
    load_program_from_components,
    missing_parts,
)
from po_optimizer.persistence import format as fmt
from po_optimizer.persistence.codec.modules import predictors
from po_optimizer.persistence.codec.values import Encoder
from po_optimizer.persistence.outline import outline_program
from po_optimizer.persistence.prompts import prompt_hashes
from po_optimizer.persistence.scripted_call import call_program
from po_optimizer.persistence.snapshot import dumps, loads
from tests.persistence import zoo
from tests.persistence.conftest import document, document_bytes, program

NUMBERS = itertools.count()
SCHEMA = json.loads(
    (Path(fmt.__file__).parent / "program.schema.json").read_text(encoding="utf-8")
)
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
CODE = ("tests",)
Kind = TypeVar("Kind")


@pytest.mark.parametrize("name", zoo.ZOO)
class TestZoo:
    """Each program of the zoo."""

    def test_renders_the_same_without_the_module(
        self, name: str, fresh_prompts: dict[str, dict[str, str]]
    ) -> None:
        """A fresh process without the defining module renders identical prompts."""
        assert fresh_prompts[name] == prompt_hashes(program(name), whole=True)

    def test_renders_the_same_with_the_module(self, name: str) -> None:
        """Imported and filled, each predictor renders identical prompts."""
        loaded = load_program_from_components(document(name), allowed_packages=CODE)
        expected, found = (
            prompt_hashes(p, whole=True) for p in (program(name), loaded)
        )
        assert sorted(found.values()) == sorted(expected.values())

    def test_encodes_the_same_again(self, name: str) -> None:
        """What was loaded encodes to the same tree, so nothing was lost on the way."""
        loaded = load_program_from_components(
            document(name), program=program(name), allowed_packages=CODE
        )
        again = extract_program_components(loaded)
        assert again["program"] == document(name)["program"]
        assert again["types"] == document(name)["types"]

    def test_document_is_of_the_schema_and_holds_no_secret(self, name: str) -> None:
        """It passes the JSON Schema that the package ships; no key is in its bytes."""
        data = document_bytes(name)
        VALIDATOR.validate(json.loads(data))
        assert b"canary" not in data

    def test_outline_has_every_predictor(self, name: str) -> None:
        """What is shown without building anything is what the fingerprint names."""
        stored = document(name)
        paths = [predictor.path for predictor in outline_program(stored)]
        assert paths == list(stored["fingerprint"])


def test_values_are_equal_and_of_the_same_type() -> None:
    """Values of every kind come back equal, with their types."""
    loaded: Any = load_program_from_components(
        document("values"), allowed_packages=CODE
    )
    for name, value in zoo.VALUES.items():
        found = loaded.values[name]
        assert type(found) is type(value), name
        assert name in ("nan", "array", "signature") or found == value, name


def test_private_and_extra_attributes_of_models_survive() -> None:
    """Pydantic's extra fields, private attributes and set fields come back."""
    loaded: Any = load_program_from_components(
        document("values"), allowed_packages=CODE
    )
    assert loaded.values["person"].nick == "A"
    assert loaded.values["person"].model_fields_set == {"name", "nick", "friends"}
    assert loaded.values["checked"]._seen == 3


def test_shared_predictor_stays_shared() -> None:
    """A predictor that stands at two places is one object again."""
    loaded: Any = load_program_from_components(
        document("nested"), allowed_packages=CODE
    )
    assert loaded.shared is loaded.many[0]


def test_frozen_submodule_keeps_its_demos() -> None:
    """DSPy's own JSON drops a frozen sub-module; the document has it, still frozen."""
    loaded: Any = load_program_from_components(
        document("frozen"), allowed_packages=CODE
    )
    assert loaded.inner._compiled
    assert len(loaded.inner.answer.demos) == 2


def test_search_history_is_not_stored() -> None:
    """The optimizer's trials and candidates are not in the document; its score is."""
    state = document("plain improved")["program"]["state"]
    assert "trial_logs" not in state
    assert "candidate_programs" not in state
    assert state["score"] == 87.5


def test_importable_tool_is_not_imported() -> None:
    """A tool function is listed as not stored, and never imported by its path."""
    stored = document("react function")
    loaded: Any = load_program_from_components(stored, allowed_packages=CODE)
    assert "tests.persistence.zoo:weather" in [n["what"] for n in stored["not_stored"]]
    with pytest.raises(NotStoredError, match="weather"):
        loaded.tools["weather"](city="Bilbao")


EXACTLY = (*CODE, "tests.persistence.zoo:Agent", "tests.persistence.zoo:Holding")


def test_closure_comes_back_from_the_trusted_class() -> None:
    """A closure made by the constructor is there again, with the stored arguments."""
    made = zoo.Agent(suffix="?!")
    stored = extract_program_components(made, arguments={"suffix": "?!"})
    loaded: Any = load_program_from_components(stored, allowed_packages=EXACTLY)
    assert loaded.act.tools["exclaim"](text="so") == "so?!"


def test_constructor_is_not_called_unless_named() -> None:
    """A package is trusted for its types, not for calling its constructors."""
    stored = extract_program_components(zoo.Agent(suffix="?!"))
    loaded: Any = load_program_from_components(stored, allowed_packages=CODE)
    with pytest.raises(NotStoredError, match="exclaim"):
        loaded.act.tools["exclaim"](text="so")


def test_live_objects_come_back_from_the_trusted_class() -> None:
    """A lock, a file, a client and a lambda are made afresh by the constructor."""
    loaded: Any = load_program_from_components(
        document("holding"), allowed_packages=EXACTLY
    )
    with loaded.lock:
        assert loaded.key("ab") == "ba"


def test_code_comes_back_from_the_given_program() -> None:
    """`program=` gives the code of a program that no import can find."""
    given = zoo.knn_compiled()
    loaded: Any = load_program_from_components(document("knn compiled"), program=given)
    assert loaded.forward.__func__.__code__ is given.forward.__func__.__code__


def test_given_program_is_not_changed() -> None:
    """`program=` gives its code; what is loaded is another object."""
    given = zoo.Plain()
    load_program_from_components(document("plain improved"), program=given)
    assert given.answer.demos == []
    assert not hasattr(given, "score")


def test_missing_code_refuses_to_be_used() -> None:
    """What is not stored raises an error that names it, instead of doing nothing."""
    loaded: Any = load_program_from_components(
        document("react function"), allowed_packages=()
    )
    with pytest.raises(NotStoredError, match="zoo:weather"):
        loaded.tools["weather"].func(city="x")
    knn: Any = load_program_from_components(
        document("knn compiled"), allowed_packages=CODE
    )
    with pytest.raises(NotStoredError, match="forward_pass"):
        knn(question="?")


def test_live_object_without_code_refuses_attributes() -> None:
    """A live object that is not there refuses its attributes, and copies well."""
    stored = document("best of n")
    loaded: Any = load_program_from_components(stored, allowed_packages=())
    with pytest.raises(NotStoredError, match="reward"):
        _ = loaded.reward_fn.anything
    assert "zoo:reward" in repr(loaded.deepcopy().reward_fn)


def test_one_predictor_without_its_class_is_callable(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Without the class, a program of one predictor is a `dspy.Predict`, said so."""
    with caplog.at_level(logging.WARNING):
        loaded = load_program_from_components(document("plain"), allowed_packages=())
    assert type(loaded) is dspy.Predict
    assert "zoo:Plain was rebuilt without its code" in caplog.text
    assert "its one predictor answers alone" in caplog.text


def test_several_predictors_without_their_class_refuse_calls() -> None:
    """Without the class, how several predictors work together is unknown."""
    loaded = load_program_from_components(document("nested"), allowed_packages=())
    assert len(predictors(loaded)) == 6
    with pytest.raises(ArtifactError, match="zoo:Nested"):
        loaded(question="?")


def test_rebuilt_program_can_be_saved_again() -> None:
    """Saved again, a program without its class is the same document's program."""
    loaded = load_program_from_components(document("nested"), allowed_packages=())
    assert (
        extract_program_components(loaded)["program"] == document("nested")["program"]
    )


def test_user_predict_without_its_class_is_a_predict() -> None:
    """A subclass of Predict whose import is not allowed shows its prompt only."""
    stored = extract_program_components(zoo.Careful(zoo.QA))
    loaded = load_program_from_components(stored, allowed_packages=())
    assert isinstance(loaded, dspy.Predict)
    with pytest.raises(ArtifactError, match="zoo:Careful"):
        loaded(question="?")


def test_provenance_survives() -> None:
    """Provenance is on the copy only, and survives encoding, loading and rebuilding."""
    plain = zoo.Plain()
    carrier = attach_provenance(plain, {"seed": 9, "scores": [0.5]})
    stored = extract_program_components(carrier)
    for allowed in (CODE, ()):
        loaded = load_program_from_components(stored, allowed_packages=allowed)
        assert get_provenance(loaded) == {"seed": 9, "scores": [0.5]}
    assert get_provenance(plain) == {}


def test_object_in_a_demo_is_an_error_that_names_it() -> None:
    """What shapes the prompts and is no data is refused by its path."""
    made = zoo.with_demos(zoo.Plain(), zoo.demo(extra={"deep": [object()]}))
    with pytest.raises(
        NotStorableError, match=r"self\.answer\.demos\[0\].*'deep'.*\[0\]"
    ):
        extract_program_components(made)


@pytest.mark.parametrize("times", [1, 2])
def test_cyclic_value_is_an_error_that_names_it(times: int) -> None:
    """A value that contains itself is refused at once, however often it does."""
    loop: list[Any] = ["a text"]
    loop.extend([loop] * times)
    program = zoo.with_demos(zoo.Plain(), {"question": {"deep": loop}})
    with pytest.raises(NotStorableError) as caught:
        extract_program_components(program)
    place = "self.answer.demos[0]['question']['deep'][1]"
    assert str(caught.value).startswith(f"{place} cannot be stored: it contains itself")


def test_value_of_many_levels_is_an_error() -> None:
    """What JSON cannot nest is refused, and said to be no cycle."""
    deep: list[Any] = []
    for _ in range(300):
        deep = [deep]
    with pytest.raises(NotStorableError, match="200 levels deep"):
        extract_program_components(zoo.with_demos(zoo.Plain(), zoo.demo(extra=deep)))


def test_other_program_is_refused() -> None:
    """`program=` with other predictors is an error that lists both."""
    with pytest.raises(ArtifactError, match=r"self\.answer"):
        load_program_from_components(document("plain"), program=zoo.Nested())


def test_changed_type_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A type that changed since changes the prompts: refused, or accepted openly."""
    stored = document("predict typed")
    changed = type("Point", (), {"__doc__": "Changed", "__annotations__": {"x": int}})
    changed.__module__, changed.__qualname__ = zoo.__name__, "Point"
    monkeypatch.setattr(zoo, "Point", zoo.dataclasses.dataclass(changed))
    with pytest.raises(ArtifactError, match="self"):
        load_program_from_components(stored, allowed_packages=CODE)
    stored["made_with"]["dspy"] = "3.0"
    assert load_program_from_components(fmt.seal(stored), allowed_packages=CODE)


def test_document_of_something_else_is_damaged() -> None:
    """A sealed document whose program is no module is refused."""
    stored = fmt.seal({**document("plain"), "program": {}})
    with pytest.raises(DamagedArtifactError, match="not a module"):
        load_program_from_components(stored)


def test_what_dspy_saved_is_named(tmp_path: Path) -> None:
    """Its own state has the same ending and another reader."""
    dspy.Predict("question -> answer").save(tmp_path / "state.json")
    with pytest.raises(DamagedArtifactError, match=r"program\.load\(path\) reads"):
        load_program_from_components(tmp_path / "state.json")


class Watched(dspy.Module):
    """A program that somebody listens to."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = dspy.Predict("question -> answer")

    def forward(self, question: str) -> Any:
        """Answer."""
        return self.answer(question=question)


class Listener(BaseCallback):
    """Notes every call of a module."""

    def __init__(self) -> None:
        self.heard = 0

    def on_module_start(self, *_args: Any, **_kwargs: Any) -> None:
        """Note it."""
        self.heard += 1


class OfKind(Watched, Generic[Kind]):
    """A program that says what it is about."""


def test_program_is_stored_without_those_who_listen(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Callbacks are named and left out: loaded, the program answers without them."""
    watched = Watched()
    watched.callbacks = [Listener()]
    stored = extract_program_components(watched)
    assert stored["not_stored"][0]["kind"] == "callbacks"
    loaded = load_program_from_components(stored, program=Watched())
    rebuilt = load_program_from_components(stored, allowed_packages=CODE)
    assert loaded.callbacks == rebuilt.callbacks == []
    assert "self.callbacks" in caplog.text


def test_parameters_of_a_generic_program_are_no_state() -> None:
    """`Program[int]()` leaves a note of Python's own on the instance."""
    program = OfKind[int]()
    assert "__orig_class__" in vars(program)
    stored = extract_program_components(program)
    assert "__orig_class__" not in stored["program"]["state"]


def test_name_of_pythons_own_is_an_error_and_is_rescued() -> None:
    """An attribute that no document may bring along is named; the rest is rescued."""
    program = Watched()
    vars(program)["__own__"] = 1
    with pytest.raises(NotStorableError, match=r"self\.__own__"):
        extract_program_components(program)
    rescue = Encoder(rescue=True)
    assert "answer" in rescue.encode(program, "self")["state"]
    assert "self.__own__" in rescue.problems[0]


def test_flex_of_a_donor_has_the_source_that_was_saved() -> None:
    """A `dspy.Flex` would run the given program's source, not the saved one."""
    flex, donor = dspy.Flex("question -> answer"), dspy.Flex("question -> answer")
    flex._bind_code(flex.module_src.replace("result", "outcome"))
    stored = extract_program_components(flex)
    with pytest.raises(ArtifactError, match="module_src"):
        load_program_from_components(stored, program=donor)
    donor.load_state({"module_src": flex.module_src, "lm": None})
    loaded: Any = load_program_from_components(stored, program=donor)
    assert loaded._bridge._module_src == flex.module_src


class Stamped(dspy.Type):
    """Another text each time."""

    name: str = "x"

    def format(self) -> str:
        """With a number of its own."""
        return f"{next(NUMBERS)} {self.name}"


def test_text_that_changes_each_time_is_named() -> None:
    """What cannot be compared is shown with its place."""
    predictor = dspy.Predict("a -> b")
    predictor.demos = [dspy.Example(a=Stamped(), b="b")]
    with pytest.raises(SaveError, match=r"demos\.0\.v\.a\.form was '0 x', then '\d x'"):
        extract_program_components(predictor)


def test_outline_looks_into_every_dict() -> None:
    """Predictors by number, too; a signature that a program keeps is none."""
    program: Any = Watched()
    program.by_number = {1: dspy.Predict("a -> b"), (2, "x"): dspy.Predict("c -> d")}
    program.signature = dspy.Signature("e -> f")
    paths = [p.path for p in outline_program(extract_program_components(program))]
    expected = ["self.answer", "self.by_number[1]", "self.by_number[(2, 'x')]"]
    assert paths == expected == list(prompt_hashes(program))


def test_attributes_may_have_names_that_are_used_here() -> None:
    """Flags of the user's own come back, whatever an optimizer calls its search."""
    names = ("detailed_results", "trial_logs", "rebuilt_from", "_provenance", "stage")
    program = Watched()
    vars(program).update(dict.fromkeys(names, "mine"))
    stored = extract_program_components(attach_provenance(program, {"seed": 1}))
    for loaded in (
        load_program_from_components(stored, allowed_packages=CODE),
        load_program_from_components(stored, program=Watched()),
        loads(dumps(program)),
    ):
        assert {name: vars(loaded).get(name) for name in names} == dict.fromkeys(
            names, "mine"
        )


def test_default_of_a_dict_comes_from_a_donor() -> None:
    """`defaultdict(lambda: ...)` needs no donor for what is in it."""
    program: Any = Watched()
    program.seen = collections.defaultdict(lambda: 7, {"a": 1})
    stored = extract_program_components(program)
    loaded: Any = load_program_from_components(stored, program=program)
    alone: Any = load_program_from_components(stored, allowed_packages=CODE)
    assert (loaded.seen["a"], loaded.seen["b"], alone.seen["a"]) == (1, 7, 1)
    with pytest.raises(NotStoredError, match="default_factory"):
        alone.seen["b"]


class Looking(BaseModel):
    """Holds a function where no validation sees it."""

    _look: Any = PrivateAttr(default=None)


@dataclasses.dataclass(slots=True)
class Slotted:
    """Holds what it has in slots."""

    look: Any


class Named(NamedTuple):
    """Holds a function by place and name."""

    look: Any


def hiding(look: Any) -> Any:
    """A program that holds the function in all kinds of containers."""
    program: Any = Watched()
    program.model = Looking()
    program.model._look = look
    program.slotted, program.named = Slotted(look), Named(look)
    program.space = types.SimpleNamespace(look=look)
    program.queue, program.pair = collections.deque([look]), (look, {"look": [look]})
    return program


def test_code_comes_from_a_donor_whatever_holds_it() -> None:
    """A private attribute, a slot, a named tuple, a namespace, a deque, a list."""
    stored = extract_program_components(hiding(zoo.weather))
    alone = load_program_from_components(stored, allowed_packages=CODE)
    loaded = load_program_from_components(stored, program=hiding(zoo.weather))
    assert len(missing_parts(alone)) == 7
    assert not missing_parts(loaded)
    assert loaded.model._look is loaded.slotted.look is zoo.weather


class Colliding(dspy.Module):
    """Calls its predictors as DSPy calls what it keeps of examples."""

    def __init__(self) -> None:
        super().__init__()
        self.demos = dspy.Predict("question -> demo")
        self.train = [dspy.Predict("demo -> answer")]


def test_predictor_of_any_name_is_in_the_fingerprint() -> None:
    """What it learned is compared, and comes back; documents without it load."""
    program = zoo.improved(Colliding())
    stored = extract_program_components(program)
    assert list(stored["fingerprint"]) == ["self.demos", "self.train[0]"]
    del stored["fingerprint"]["self.demos"]
    stored["n_predictors"], stored["n_demos"] = 1, len(program.train[0].demos)
    for options in ({"program": Colliding()}, {"allowed_packages": CODE}):
        loaded = load_program_from_components(fmt.seal(stored), **options)
        assert prompt_hashes(loaded) == prompt_hashes(program)


class Lookup(dspy.Tool):
    """A kind of tool of the user's own."""


def test_calls_of_tools_can_be_executed_after_loading() -> None:
    """The classes within DSPy's own are DSPy's, not rebuilt ones without methods."""
    program: Any = Watched()
    call = {"name": "upper", "args": {"text": "a"}}
    program.calls = dspy.ToolCalls.from_dict_list([call])
    stored = extract_program_components(program)
    loaded: Any = load_program_from_components(stored, allowed_packages=CODE)
    assert loaded.calls.tool_calls[0].execute({"upper": zoo.shout}) == "A"


def test_demo_may_hold_a_tool_of_any_kind() -> None:
    """A subclass of `dspy.Tool`, too; the function comes from a donor."""
    program = dspy.Predict("question, tools: list[dspy.Tool] -> answer")
    tools = [dspy.Tool(zoo.weather), Lookup(zoo.weather)]
    program.demos = [dspy.Example(question="q", tools=tools, answer="a")]
    stored = extract_program_components(program)
    loaded: Any = load_program_from_components(stored, program=program)
    assert [type(tool) for tool in loaded.demos[0].tools] == [dspy.Tool, Lookup]
    assert loaded.demos[0].tools[1].func is zoo.weather


def test_function_of_a_tool_in_a_demo_is_not_missed() -> None:
    """Nobody calls it, and without it the prompt is the same: so it can be released."""
    program = dspy.Predict("question, tools: list[dspy.Tool] -> answer")
    student, tools = program.deepcopy(), [dspy.Tool(zoo.weather)]
    program.demos = [dspy.Example(question="q", tools=tools, answer="a")]
    stored = extract_program_components(program)
    loaded: Any = load_program_from_components(stored, program=student)
    assert not missing_parts(loaded)
    assert extract_program_components(loaded)["fingerprint"] == stored["fingerprint"]
    with pytest.raises(NotStoredError):
        loaded.demos[0].tools[0](city="Bern")


def test_type_without_a_schema_is_an_error_of_ours() -> None:
    """An instance of any class is nothing that a document can promise."""
    signature = dspy.Signature({"q": (InstanceOf[Listener], dspy.InputField())}, "Do.")
    with pytest.raises(SaveError, match="schema"):
        extract_program_components(dspy.Predict(signature))


def test_callbacks_hear_nothing_of_a_comparison() -> None:
    """The scripted calls of a save are not the program's own; then they hear again."""
    program, listener = Watched(), Listener()
    program.callbacks = program.answer.callbacks = [listener]
    assert not call_program(program, {"question": "why?"}).refused
    assert not listener.heard
    assert program.callbacks == [listener]
