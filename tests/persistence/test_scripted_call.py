"""A scripted call tells programs apart that render the same prompts."""

import collections
import dataclasses
import itertools
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, NamedTuple

import dspy
import pytest
from pydantic import BaseModel, computed_field

from po_optimizer.errors import ArtifactError, NotStoredError, SaveError
from po_optimizer.files import LocalFolder
from po_optimizer.persistence import (
    compare_calls,
    extract_program_components,
    load_program,
    load_program_from_components,
    missing_parts,
    save_program,
    scripted_call,
)
from po_optimizer.persistence.prompts import prompt_hashes
from po_optimizer.persistence.scripted_call import (
    call_program,
    probe_inputs,
    steady_calls,
)
from po_optimizer.persistence.store import save_to

HERE = ["tests"]
REGISTRY: dict[int, str] = {}
NUMBERS = itertools.count()


class Answer(BaseModel):
    """What an LM is asked for."""

    text: str
    score: float
    tags: list[str]


class Typed(dspy.Signature):
    """Answer with every kind of field."""

    question: str = dspy.InputField()
    kind: Literal["a", "b"] = dspy.OutputField()
    sure: bool = dspy.OutputField()
    n: int = dspy.OutputField()
    parts: Answer = dspy.OutputField()
    words: dict[str, list[str]] = dspy.OutputField()


class Computed(BaseModel):
    """A value with code."""

    @computed_field
    def size(self) -> int:
        """What no document holds."""
        return 3


class Called(dspy.Module):
    """A program without `forward`."""

    def __init__(self) -> None:
        super().__init__()
        self.ask = dspy.Predict("question -> answer")

    def __call__(self, question: str) -> Any:
        """The answer."""
        return self.ask(question=question)


class Pair(NamedTuple):
    """Two things."""

    one: Any
    two: int = 2


@dataclasses.dataclass(frozen=True)
class Box:
    """A thing."""

    thing: Any

    def __iter__(self) -> Iterator[Any]:
        """The thing."""
        return iter([self.thing])


SETS: dict[str, Any] = {
    "set": lambda items: items,
    "list": lambda items: ["a", {"b": (items,)}],
    "named tuple": Pair,
    "dataclass": Box,
    "ordered dict": lambda items: collections.OrderedDict(a=1, b=items),
    "deque": lambda items: collections.deque([items], maxlen=1),
}


class Worded(dspy.Module):
    """Writes words into its prompt."""

    def __init__(self, words: Any) -> None:
        super().__init__()
        self.words = words
        self.ask = dspy.Predict("question -> answer")
        self.ask.demos = [dspy.Example(question=words, answer="a")]

    def forward(self, question: str) -> Any:
        """The answer."""
        return self.ask(question=f"{question} {self.words}")


class Asking(dspy.Module):
    """Asks as often as it is told, of an LM of its own if it has one."""

    def __init__(self, times: int = 1, lm: Any = None) -> None:
        super().__init__()
        self.times = times
        self.ask = dspy.Predict("question, turn: int -> answer")
        self.judge = lm
        self.calls: list[str] = []

    def forward(self, question: str) -> Any:
        """The last answer."""
        self.calls.append(question)
        for turn in range(self.times):
            answer = self.ask(question=question, turn=turn)
        if self.judge is not None:
            return self.judge(f"judge {answer.answer}")
        return answer


class Registered(dspy.Module):
    """Keeps what it needs outside of itself, where no document sees it."""

    def __init__(self) -> None:
        super().__init__()
        self.ask = dspy.Predict("question -> answer")
        REGISTRY[id(self)] = "secretly"

    def forward(self, question: str) -> Any:
        """An answer, if it is registered."""
        return self.ask(question=f"{REGISTRY[id(self)]} {question}")


class Counting(dspy.Module):
    """Asks something else each time."""

    def __init__(self) -> None:
        super().__init__()
        self.ask = dspy.Predict("question -> answer")

    def forward(self, question: str) -> Any:
        """The answer to a question with a number."""
        return self.ask(question=f"{question} {next(NUMBERS)}")


class Awaited(dspy.Module):
    """Has no forward but an asynchronous one."""

    def __init__(self) -> None:
        super().__init__()
        self.ask = dspy.Predict("question -> answer")

    async def aforward(self, question: str) -> Any:
        """The answer."""
        return await self.ask.acall(question=question)


class Pooled(dspy.Module):
    """Asks in a thread of a pool that it keeps."""

    def __init__(self) -> None:
        super().__init__()
        self.ask = dspy.Predict("question -> answer")
        self.pool = ThreadPoolExecutor(1)

    def forward(self, question: str) -> Any:
        """The answer."""
        return self.pool.submit(self.ask, question=question).result()


class Odd(dspy.Module):
    """Takes what nobody can make up."""

    def forward(self, given: threading.Lock) -> Any:
        """Whether it is taken."""
        return given.locked()


PROBE = {"question": "who?"}
FORBIDDEN = dspy.LM("openai/never-asked", api_base="http://127.0.0.1:9", num_retries=0)


def test_same_programs_do_not_differ() -> None:
    """Two programs that ask and answer alike are told the same."""
    assert compare_calls(Asking(), Asking(), [PROBE]) is None


@pytest.mark.parametrize("other", [Asking(times=2), Asking(lm=FORBIDDEN)])
def test_other_requests_are_a_difference(other: Any) -> None:
    """One more request, or one to another LM, is a difference; no LM is asked."""
    assert "requests" in str(compare_calls(Asking(), other, [PROBE]))


def test_other_model_of_an_own_lm_is_a_difference() -> None:
    """The same text sent to another model is not the same request."""
    cheap, dear = (dspy.LM(f"openai/{name}") for name in ("cheap", "dear"))
    difference = compare_calls(Asking(lm=cheap), Asking(lm=dear), [PROBE])
    assert "requests" in str(difference)


@pytest.mark.parametrize("wrap", SETS.values(), ids=SETS)
def test_order_of_a_set_is_no_part_of_a_program(wrap: Any) -> None:
    """Equal sets may be gone through in another order, as after loading."""
    one, other = set(), set()
    one.update([0, 8])
    other.update([8, 0])
    assert (one, list(one)) == (other, list(other)[::-1])
    programs = [Worded(wrap(one)), Worded(wrap(other))]
    assert compare_calls(*programs, [{"question": "q"}]) is None
    assert [list(p.words) for p in programs] == [list(wrap(one)), list(wrap(other))]
    hashes = [prompt_hashes(program.ask) for program in programs]
    assert hashes[0] == hashes[1]


def test_program_is_as_before_after_a_call() -> None:
    """Attributes that a call changes are put back."""
    program = Asking()
    call_program(program, PROBE)
    assert program.calls == []
    assert program.history == []


def test_awaited_program_is_called() -> None:
    """A program that only has `aforward` is called in a loop of its own."""
    assert "scripted" in call_program(Awaited(), PROBE).result


def test_the_script_answers_in_the_program_s_own_threads() -> None:
    """No real LM is asked there, whichever their thread found before."""
    program = Pooled()
    with dspy.context(lm=FORBIDDEN):
        outcome = call_program(program, PROBE)
    assert "scripted" in outcome.result
    assert len(outcome.requests) == 1


def test_a_slow_program_is_called_as_seldom_as_can_be(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With one probe of three; what DSPy logs of made-up answers is not shown."""
    monkeypatch.setattr(scripted_call, "_LONG_SECONDS", 0.0)
    with caplog.at_level("INFO", "po_optimizer"):
        assert len(steady_calls(Asking(), [PROBE] * 3)) == 1
    assert "called with made-up answers" in caplog.text


@pytest.mark.parametrize(
    "adapter", [dspy.ChatAdapter(), dspy.JSONAdapter(), dspy.XMLAdapter()]
)
def test_answers_are_of_the_types_that_are_asked_for(adapter: Any) -> None:
    """Whatever the adapter, every field can be parsed."""
    program = dspy.ChainOfThought(Typed)
    with dspy.context(adapter=adapter):
        outcome = call_program(program, PROBE)
    assert "Error" not in outcome.result


def test_probes_come_from_demos() -> None:
    """A demo that has every input is the probe; else inputs are made by type."""
    program = Asking()
    assert probe_inputs(program) == [{"question": "<question>"}]
    program.ask.demos = [dspy.Example(question="from a demo", answer="x")]
    assert probe_inputs(program) == [{"question": "from a demo"}]


def tool(city: str) -> str:
    """Look up a city."""
    return city


def test_probe_of_an_agent_is_its_own_signatures() -> None:
    """Not what its predictors are given on the way; so it is called, and compared."""
    agent = dspy.ReAct("question, place -> answer", tools=[tool])
    probes = probe_inputs(agent)
    assert probes == [{"question": "<question>", "place": "<place>"}]
    other = dspy.ReAct("question, place -> answer", tools=[tool], max_iters=3)
    other.react.signature = other.react.signature.with_instructions("Be quick.")
    assert compare_calls(agent, agent.deepcopy(), probes) is None
    assert "requests" in str(compare_calls(agent, other, probes))


def test_probe_of_a_program_with_a_call_of_its_own() -> None:
    """A class may have `__call__` in place of `forward`."""
    assert probe_inputs(Called()) == [{"question": "<question>"}]


def test_call_that_fails_before_it_asks_is_no_comparison() -> None:
    """Two programs that refuse their inputs need not be the same: it is said."""
    chain = dspy.MultiChainComparison("question -> answer", M=2)
    with pytest.raises(ValueError, match=r"question, .* it raises TypeError"):
        compare_calls(chain, chain, probe_inputs(chain))


def test_input_without_a_value_is_not_compared() -> None:
    """Where no input of a type can be made, that is said."""
    with pytest.raises(ValueError, match="given"):
        probe_inputs(Odd())


def test_program_that_acts_differently_is_not_saved(tmp_path: Path) -> None:
    """Same prompts, other behavior: the save fails and keeps a rescue file."""
    with pytest.raises(SaveError, match="called with"):
        save_program(Registered(), tmp_path / "p.json")
    assert list(tmp_path.glob("*.rescue.json"))
    assert not (tmp_path / "p.json").exists()


def test_unsteady_program_is_saved_and_says_so(tmp_path: Path) -> None:
    """A program that differs from itself cannot be compared; the document says it."""
    saved = save_program(Counting(), tmp_path / "p.json")
    assert "two calls" in str(saved.not_compared)
    assert "two calls" in (tmp_path / "p.json").read_text()


def test_local_class_is_compared_in_this_process_only(tmp_path: Path) -> None:
    """What another process cannot import is said in the document."""

    class Local(Asking):
        pass

    saved = save_program(Local(), tmp_path / "p.json")
    assert "cannot be imported" in str(saved.not_compared)


def test_calls_are_compared_in_both_processes(tmp_path: Path) -> None:
    """A whole comparison leaves no remark."""
    assert save_program(Asking(times=3), tmp_path / "p.json").not_compared is None


def test_probes_may_hold_values_with_code(tmp_path: Path) -> None:
    """Inputs whose class computes a field are given to the fresh process, too."""
    program = dspy.Predict("given -> answer")
    program.demos = [dspy.Example(given=Computed(), answer="a")]
    assert save_program(program, tmp_path / "p.json").not_compared is None


def test_plain_lm_is_made_again(tmp_path: Path) -> None:
    """An LM without an address of its own comes back with its settings."""
    lm = dspy.LM("openai/cheap", temperature=0.5, api_key="sk-canary-9")
    save_program(Asking(lm=lm), tmp_path / "p.json", dill="off", verify="off")
    loaded: Any = load_program(tmp_path / "p.json", allowed_packages=HERE)
    assert (loaded.judge.model, loaded.judge.kwargs["temperature"]) == (lm.model, 0.5)
    assert "canary" not in (tmp_path / "p.json").read_text()


def test_plain_lm_of_a_donor_keeps_its_key() -> None:
    """A donor's LM is taken if it is the same; of another one nothing is."""
    stored = extract_program_components(
        Asking(lm=dspy.LM("openai/cheap", api_key="sk-canary-9"))
    )
    lms = [dspy.LM("openai/cheap", api_key="own"), dspy.LM("openai/dear", api_key="x")]
    loaded: Any = [
        load_program_from_components(stored, program=Asking(lm=lm)).judge for lm in lms
    ]
    assert loaded[0] is lms[0]
    assert (loaded[1].model, "api_key" in loaded[1].kwargs) == ("openai/cheap", False)


def test_lm_with_an_address_refuses_until_it_is_given() -> None:
    """Without its address an LM is a placeholder, kept when it is saved again."""
    stored = extract_program_components(Asking(lm=FORBIDDEN))
    loaded: Any = load_program_from_components(stored, allowed_packages=HERE)
    with pytest.raises(NotStoredError, match="never-asked"):
        loaded.judge("hello")
    assert [part.where for part in missing_parts(loaded)] == ["self.judge"]
    again = extract_program_components(loaded)
    assert again["not_stored"] == stored["not_stored"]


@pytest.mark.parametrize("name", ["judge", "openai/never-asked"])
def test_lm_is_given_by_place_or_model(name: str) -> None:
    """`lms=` takes an attribute or a model's name."""
    stored = extract_program_components(Asking(lm=FORBIDDEN))
    lm = dspy.LM("openai/given")
    loaded: Any = load_program_from_components(
        stored, allowed_packages=HERE, lms={name: lm}
    )
    assert loaded.judge is lm


def test_donor_with_another_lm_is_refused() -> None:
    """A donor's LM must be the one that was saved."""
    stored = extract_program_components(Asking(lm=FORBIDDEN))
    other = Asking(lm=dspy.LM("openai/other", api_base="http://127.0.0.1:9"))
    with pytest.raises(ArtifactError, match=r"self\.judge"):
        load_program_from_components(stored, program=other)


def test_part_that_the_role_does_not_give_is_not_released(tmp_path: Path) -> None:
    """With a donor, a save fails if a part would still be missing."""
    folder = LocalFolder(tmp_path)
    program, donor = Asking(lm=FORBIDDEN), Asking()
    with pytest.raises(SaveError, match=r"self\.judge"):
        save_to(folder, "p.json", program, "off", "inline", donor=donor)


class Chat(dspy.Module):
    """Remembers what was said, in a model and in a dict in a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.said = dspy.History(messages=[])
        self.answers: dict[str, dict[str, Any]] = {"anna": {}}
        self.ask = dspy.Predict("said: dspy.History, question -> answer")

    def forward(self, question: str) -> Any:
        """The answer, from memory if it is there."""
        known = self.answers["anna"]
        if question not in known:
            known[question] = self.ask(said=self.said, question=question)
            self.said.messages.append({"question": question, **known[question]})
        return known[question]


def test_what_a_program_remembers_is_not_what_the_script_said(tmp_path: Path) -> None:
    """Neither in the program that was saved nor in what its next prompt holds."""
    chat = Chat()
    save_program(chat, tmp_path / "program.json", dill="off")
    assert (chat.said.messages, chat.answers) == ([], {"anna": {}})
    assert "not_compared" not in extract_program_components(chat)
    assert call_program(chat, {"question": "q"}).requests
    assert call_program(chat, {"question": "q"}).requests
