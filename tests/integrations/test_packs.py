"""`po-optimizer pack` and `replay`: the same run elsewhere, without an LM."""

import json
import shutil
import sys

import dspy
import pytest
from click.testing import CliRunner

from po_optimizer.__main__ import group
from po_optimizer.errors import PoOptimizerError
from po_optimizer.integrations.packs import Code, pack_run, replay
from po_optimizer.integrations.packs.answers import (
    AnswerMissing,
    GivenAnswers,
    request_of,
)
from po_optimizer.integrations.packs.code import find_code
from po_optimizer.integrations.packs.other_metric import rank_again
from po_optimizer.integrations.packs.pack_file import MAX_BYTES
from po_optimizer.integrations.packs.repetition import Repetition
from po_optimizer.lms.answer_store import Answers
from po_optimizer.lms.build import lm_of
from po_optimizer.lms.cache import digest
from po_optimizer.optimization.inputs import (
    LMInput,
    read_inputs,
    without_secret_arguments,
)
from po_optimizer.optimization.journal import Trial, sole_run
from po_optimizer.optimization.report import Scored
from po_optimizer.params.project import RoleParams
from po_optimizer.persistence import format as fmt
from po_optimizer.persistence import load_program, save_program
from po_optimizer.persistence.prompts import prompt_hashes
from po_optimizer.pipelines.optimize import nodes
from po_optimizer.roles.build import Synchronous, load_metric
from tests.canary import KEY, holders
from tests.faces.project import ROOT
from tests.integrations.packed import (
    NAMES,
    OTHER,
    Answering,
    OwnClass,
    contents,
    digit,
    low_digit,
    sealed_again,
    search,
    write,
)
from tests.optimization import world
from tests.scripted import scripted_lm

CODE = Code(Answering(), digit)


def typed(command, *arguments):
    """Exit code and output of a command."""
    result = CliRunner().invoke(group, [command, *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.output


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """A run and its pack."""
    folder = tmp_path_factory.mktemp("packed")
    search(folder / "run")
    code, output = typed("pack", folder / "run", "--output", folder / "run.zip", *NAMES)
    assert code == 0, output
    return folder


def test_a_run_is_repeated_to_the_same_bytes(packed, tmp_path):
    """Without an LM, by the names that a person gives; it says so."""
    output = tmp_path / "replayed"
    code, text = typed("replay", packed / "run.zip", "--output", output, *NAMES)
    assert code == 0, text
    assert "repeated with 0 LM calls" in text
    own = (packed / "run/program.json").read_bytes()
    assert (output / "program.json").read_bytes() == own


@pytest.mark.parametrize("optimizer", ["gepa", "bootstrap_random_search"])
def test_every_optimizers_run_travels(tmp_path, optimizer):
    """The file says nothing of the folder: the run itself may be gone."""
    search(tmp_path / "run", optimizer)
    own = (tmp_path / "run/program.json").read_bytes()
    pack_run(tmp_path / "run", tmp_path / "run.zip", code=CODE)
    (tmp_path / "run").rename(tmp_path / "gone")
    replayed = replay(tmp_path / "run.zip", tmp_path / "there", code=CODE)
    assert (replayed.n_paid, replayed.differences) == (0, [])
    assert replayed.program.read_bytes() == own


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # DSPy's, of such classes
def test_the_run_of_an_lm_of_ones_own_class_travels(tmp_path):
    """Its answers were kept by their turn; the class is not asked for."""
    lm = OwnClass()
    search(tmp_path / "run", lm=lm)
    n_asked = lm.n_asked
    sealed = pack_run(tmp_path / "run", tmp_path / "run.zip", code=CODE)
    replayed = replay(tmp_path / "run.zip", tmp_path / "there", code=CODE)
    assert replayed.program.read_bytes() == sealed.program
    assert lm.n_asked == n_asked


def test_a_run_that_a_budget_ended_ends_there_again(tmp_path):
    """After the same trials, with the best program so far."""
    search(tmp_path / "run", budget={"max_calls": 25})
    sealed = pack_run(tmp_path / "run", tmp_path / "run.zip", code=CODE)
    assert not sealed.manifest.completed
    replayed = replay(tmp_path / "run.zip", tmp_path / "there", code=CODE)
    assert len(replayed.trials) == len(sealed.trials) > 1
    assert replayed.program.read_bytes() == sealed.program


def test_the_same_run_gives_the_same_file(packed, tmp_path):
    """So that it can be compared by its digest."""
    pack_run(packed / "run", tmp_path / "again.zip", code=CODE)
    assert (tmp_path / "again.zip").read_bytes() == (packed / "run.zip").read_bytes()


def test_the_search_is_ranked_by_another_metric(packed, tmp_path):
    """What would have won, beside what won; gaps of minibatches are told by n."""
    output = ["--output", tmp_path, "--metric", OTHER]
    code, text = typed("replay", packed / "run.zip", *output, *NAMES)
    assert code == 0, text
    rows = json.loads((tmp_path / "ranking.json").read_bytes())
    whole = [row for row in rows if row["rank"]]
    assert [row["other_rank"] for row in whole] == [*range(1, len(whole) + 1)]
    assert {row["n"] for row in whole} == {6}
    assert all(row["other_score"] == pytest.approx(1 - row["score"]) for row in rows)
    gaps = [row for row in rows if not row["rank"]]
    assert {row["n"] for row in gaps} == {3}
    assert f"{len(gaps)} candidates are not ranked" in text
    assert f"by {OTHER} the best is trial {whole[0]['trials'][0]}" in text


def test_a_metric_of_a_projects_role_can_be_named(packed, tmp_path, monkeypatch):
    """As in `role.metric`: what lies in `roles` is found by its folder's name."""
    role = tmp_path / "roles/strict_role"
    role.mkdir(parents=True)
    (role / "__init__.py").write_text("def metric(example, prediction):\n return 1.0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    named = ["--metric", "strict_role:metric", "--output", tmp_path / "there"]
    code, text = typed("replay", packed / "run.zip", *named, *NAMES)
    assert code == 0, text


def test_a_place_that_cannot_be_written_is_a_sentence(packed, tmp_path):
    """Of any command: the file, and what the system says."""
    (tmp_path / "file").touch()
    code, text = typed(
        "replay", packed / "run.zip", "--output", tmp_path / "file/x", *NAMES
    )
    assert (code, text.count("\n")) == (1, 1), text
    assert "file/x" in text


def test_a_metric_that_asks_an_lm_is_refused(packed, tmp_path):
    """Its answers are not in the pack, and no LM is asked for them."""

    def judge(example, prediction, trace=None):
        return float(dspy.Predict("answer -> good: float")(answer="x").good)

    with pytest.raises(PoOptimizerError, match="asks an LM what the run has not asked"):
        replay(packed / "run.zip", tmp_path, code=CODE, metric=judge)


def test_a_roles_run_is_repeated_by_the_role_that_is_here(tmp_path, monkeypatch):
    """Program, metric and arguments are those of the project; the data is packed."""
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(str(ROOT / "roles"))
    folder = "support_desk/openai-scripted"
    workspace = tmp_path / "06_models" / folder / "optimization"
    lm = scripted_lm(_triage, tmp_path / "07_model_output" / folder)
    paths = {"program": "support_desk.role.Triage"}
    paths["metric"] = "support_desk.role.triage_metric"
    role = RoleParams(name="support_desk", **paths)
    lines = (ROOT / "roles/support_desk/records.jsonl").read_text().splitlines()
    records = list(map(json.loads, lines))
    params = world.settings(floor_stop=False)
    job = nodes._job(records[:4], records[4:8], lm, lm, role, params)
    forecast = nodes.forecast(job, nodes.preflight(job, disk_path=tmp_path))
    nodes.optimize_program(
        *(records[:4], records[4:8], lm, lm, role, params),
        *(forecast.model_dump(), workspace),
    )
    pack_run(tmp_path / "06_models", tmp_path / "run.zip")
    replayed = replay(tmp_path / "run.zip", tmp_path, metric=load_metric(role))
    best = workspace / "best_program_so_far.json"
    assert replayed.program.read_bytes() == best.read_bytes()
    assert all(row.score == row.other_score for row in replayed.ranking)


def test_arguments_of_a_role_are_those_of_the_project(packed, monkeypatch):
    """They are data, but what the role's code does with them nobody knows."""
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(str(ROOT / "roles"))
    paths = {"program": "support_desk.role.Triage"}
    paths["metric"] = "support_desk.role.triage_metric"
    role = RoleParams(name="support_desk", metric_args={"weight": 2}, **paths)
    inputs = read_inputs(packed / "run").model_copy(update={"role": role})
    with pytest.raises(
        PoOptimizerError, match=r"metric_args=\{'weight': 2\}.*has \{\}"
    ):
        find_code(inputs)
    other = role.model_copy(update={"program": "os.system", "metric_args": {}})
    with pytest.raises(
        PoOptimizerError, match=r"trust this code: --program os\.system"
    ):
        find_code(inputs.model_copy(update={"role": other}))


def test_classes_of_the_programs_module_may_be_in_the_examples():
    """Whether the program is given or its class."""
    for program in (Answering, Answering()):
        assert "tests.integrations" in Code(program, digit).packages
    assert Code(dspy.Predict, digit).packages == ["dspy.predict", "tests.integrations"]


def _triage(prompt):
    if world.is_task(prompt.replace("`category`", "answer")):
        return json.dumps({"category": "billing", "urgency": "low"})
    return world.answer(prompt)


SECRETS = {
    "api_key": KEY,
    "azure_ad_token": KEY,
    "api_base": "http://user:address-canary@host.example/v1",
    "extra_headers": {"X-Org": "header-canary"},
    "extra_body": {"nested": {"access_key": "body-canary"}},
}
CANARIES = [KEY, "header-canary", "address-canary", "body-canary", "host.example"]


def test_no_secret_of_an_lm_is_in_a_pack(tmp_path):
    """Nor is an address; that there are some is, for DSPy asks differently then."""
    lm = dspy.LM("openai/scripted", engine="litellm", top_p=0.5, **SECRETS)
    adopted = lm_of(lm, tmp_path, run_id="x")
    described = LMInput.of(adopted)
    request = request_of({"model": "m", "messages": [KEY[:9]], "top_p": 0.5} | SECRETS)
    texts = [described.model_dump_json().encode(), request.encode()]
    assert holders(tmp_path, CANARIES, *texts) == []
    assert described.own.settings["top_p"] == 0.5
    assert described.own.settings["extra_headers"] == {"none": "none"}
    assert json.loads(request) == {"model": "m", "messages": [KEY[:9]], "top_p": 0.5}


def test_no_secret_of_a_role_is_in_a_pack():
    """The project that repeats the run has its own."""
    arguments = {"api_key": KEY, "k": 3}
    role = RoleParams(program_args=arguments, metric_args=arguments)
    kept = without_secret_arguments(role)
    assert kept.program_args == kept.metric_args == {"k": 3}


def test_a_secret_in_a_prompt_is_refused_by_its_variable(packed, tmp_path, monkeypatch):
    """The sentence names the variable, not what it holds."""
    monkeypatch.setenv("CITY_TOKEN", "Answer with care")
    with pytest.raises(PoOptimizerError, match="value of CITY_TOKEN") as error:
        pack_run(packed / "run", tmp_path / "run.zip", code=CODE)
    assert "care" not in str(error.value)
    assert not (tmp_path / "run.zip").exists()


def test_other_versions_are_named_and_go_on_if_nothing_else_is_asked(packed, tmp_path):
    """Each difference is a line; the program is compared all the same."""
    members = contents(packed / "run.zip")
    fingerprint = json.loads(members["manifest.json"])["fingerprint"]
    fingerprint |= {"dspy version": "3.4.0", "program source": "0" * 64}
    write(tmp_path / "x.zip", sealed_again(members, fingerprint=fingerprint))
    code, text = typed("replay", tmp_path / "x.zip", "--output", tmp_path, *NAMES)
    assert code == 0, text
    assert "without effect: dspy version (was 3.4.0, is " in text
    assert "without effect: program source" in text


class Otherwise(Answering):
    """The same program with another prompt."""

    def __init__(self):
        super().__init__()
        self.answer = dspy.ChainOfThought(
            dspy.Signature("question -> answer", "Or so.")
        )


def test_a_program_that_asks_otherwise_is_not_repeated(packed, tmp_path):
    """One sentence says what was asked and what is different; nothing is written."""
    code = Code(Otherwise(), digit)
    words = r"there is no answer to .*Or so.*program source"
    with pytest.raises(PoOptimizerError, match=words) as error:
        replay(packed / "run.zip", tmp_path / "there", code=code)
    assert "No LM was asked" in str(error.value)
    assert not (tmp_path / "there").exists()


def test_a_metric_that_scores_otherwise_is_not_repeated(packed, tmp_path):
    """The trial that differs is named with both scores."""
    with pytest.raises(
        PoOptimizerError, match=r"trial 1 scored 0\.\d+ .* then, and 0\.\d+"
    ):
        replay(packed / "run.zip", tmp_path, code=Code(Answering(), low_digit))


def test_code_that_a_file_names_is_not_imported(packed, tmp_path):
    """Not even to say what it is."""
    members = contents(packed / "run.zip")
    inputs = json.loads(members["inputs.json"])
    inputs |= {"program": "antigravity:Program", "metric": "antigravity:fly"}
    members["inputs.json"] = json.dumps(inputs).encode()
    write(tmp_path / "x.zip", sealed_again(members))
    code, text = typed("replay", tmp_path / "x.zip")
    assert code == 1
    assert "--program MODULE:NAME --own-metric antigravity:fly" in text
    assert "antigravity" not in sys.modules


def _altered(members, name):
    members[name] = members[name].replace(b"answer", b"anSwer")
    return members


HOSTILE = {
    "an altered answer": lambda m: _altered(m, "answers.jsonl"),
    "an altered program": lambda m: _altered(m, "program.json"),
    "an altered manifest": lambda m: (
        m | {"manifest.json": m["manifest.json"].replace(b"true", b"false")}
    ),
    "a member too many": lambda m: m | {"more": b""},
    "a member outside": lambda m: {
        ("../../x" if k == "trials.jsonl" else k): v for k, v in m.items()
    },
    "an absent member": lambda m: {k: v for k, v in m.items() if k != "trials.jsonl"},
    "no JSON": lambda m: sealed_again(m | {"answers.jsonl": b"x\n"}),
    "no pair": lambda m: sealed_again(m | {"answers.jsonl": b"[1]\n"}),
    "deep JSON": lambda m: sealed_again(m | {"inputs.json": b"[" * 10**5}),
    "no inputs": lambda m: sealed_again(m | {"inputs.json": b"{}"}),
    "no trials": lambda m: sealed_again(m | {"trials.jsonl": b"{}\n"}),
    "another format": lambda m: sealed_again(m, format="x"),
    "a later format": lambda m: sealed_again(m, format_version=2),
    "a bomb": lambda m: m | {"answers.jsonl": b"\0" * (MAX_BYTES // 8 + 1)},
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_file_that_is_no_pack_is_refused_in_a_sentence(
    packed, tmp_path, kind, monkeypatch
):
    """Whatever is wrong with it; nothing is written."""
    monkeypatch.setattr(
        "po_optimizer.integrations.packs.pack_file.MAX_BYTES", MAX_BYTES // 8
    )
    write(tmp_path / "x.zip", HOSTILE[kind](contents(packed / "run.zip")))
    output = tmp_path / "there"
    code, text = typed("replay", tmp_path / "x.zip", "--output", output, *NAMES)
    assert (code, text.count("\n")) == (1, 1), text
    assert "is no run as" in text or "this version reads up to 1" in text
    assert not output.exists()


@pytest.mark.parametrize("n_bytes", [0, 10, 3000, -1])
def test_a_cut_file_is_refused(packed, tmp_path, n_bytes):
    """At any length, the empty one too."""
    data = (packed / "run.zip").read_bytes()
    (tmp_path / "x.zip").write_bytes(data[:n_bytes])
    code, text = typed("replay", tmp_path / "x.zip", *NAMES)
    assert (code, "it is cut, or no zip file" in text) == (1, True), text


def test_a_folder_without_one_run_is_refused(packed, tmp_path):
    """None, or several, by name."""
    assert "there is none" in typed("pack", tmp_path, *NAMES)[1]
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for file in ("trials.jsonl", "trials.fingerprint.json"):
            data = (packed / "run" / file).read_bytes()
            (tmp_path / name / file).write_bytes(data)
    assert "there are a, b: name one" in typed("pack", tmp_path, *NAMES)[1]
    assert (
        "an earlier version made this run" in typed("pack", tmp_path / "a", *NAMES)[1]
    )


def test_a_run_whose_answers_are_gone_is_not_packed(packed, tmp_path):
    """The pack would be of no use."""
    for file in (packed / "run").glob("*.json*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "trials.complete").touch()
    code, text = typed("pack", tmp_path, "--output", tmp_path / "x.zip", *NAMES)
    assert (code, "there is no answer to" in text) == (1, True)
    assert not (tmp_path / "x.zip").exists()


def test_a_run_without_a_program_is_not_packed(packed, tmp_path):
    """Its baseline was not evaluated."""
    for name in ("trials.jsonl", "trials.fingerprint.json", "inputs.json"):
        (tmp_path / name).write_bytes((packed / "run" / name).read_bytes())
    with pytest.raises(PoOptimizerError, match="holds no program yet"):
        pack_run(tmp_path, tmp_path / "x.zip", code=CODE)
    with (
        sole_run(tmp_path / "trials.jsonl"),
        pytest.raises(PoOptimizerError, match="is running: pack it at its end"),
    ):
        pack_run(tmp_path, tmp_path / "x.zip", code=CODE)


def test_the_program_is_the_one_that_the_search_finds(packed, tmp_path):
    """An earlier one that lies there is passed over; there must be the right one."""
    shutil.copytree(packed / "run", tmp_path / "run")
    save_program(Answering(), tmp_path / "run/program.json", verify="off")
    best = tmp_path / "run/best_program_so_far.json"
    sealed = pack_run(tmp_path / "run", tmp_path / "x.zip", code=CODE)
    assert sealed.program == best.read_bytes()
    best.unlink()
    with pytest.raises(PoOptimizerError, match="the program differs in "):
        pack_run(tmp_path / "run", tmp_path / "y.zip", code=CODE)


class Awaited(Answering):
    """A program that is awaited only."""

    forward = None

    async def aforward(self, question):
        """One call."""
        return self.answer(question=question)


def test_a_program_that_is_awaited_is_sealed_without_what_calls_it(tmp_path):
    """As `optimize` stores it."""
    search(tmp_path / "run", student=Synchronous(Awaited()))
    own = load_program(tmp_path / "run/program.json", program=Synchronous(Awaited()))
    save_program(own.program, tmp_path / "run/program.json", verify="inline")
    sealed = pack_run(tmp_path / "run", tmp_path / "x.zip", code=Code(Awaited(), digit))
    assert sealed.program == (tmp_path / "run/program.json").read_bytes()


def test_a_document_of_an_earlier_format_is_sealed_as_it_is(packed, tmp_path):
    """Its prompts were hashed in another way."""
    shutil.copytree(packed / "run", tmp_path / "run")
    path = tmp_path / "run/program.json"
    whole = prompt_hashes(load_program(path, program=Answering()), whole=True)
    earlier = json.loads(path.read_bytes()) | {"fingerprint": whole, fmt.WHOLE: True}
    path.write_bytes(fmt.file_bytes(earlier))
    sealed = pack_run(tmp_path / "run", tmp_path / "x.zip", code=CODE)
    assert sealed.program == path.read_bytes()
    assert replay(tmp_path / "x.zip", tmp_path, code=CODE).n_paid == 0


@pytest.mark.parametrize("program", [b"x", b"{}"])
def test_a_program_that_is_none_is_refused(packed, tmp_path, program):
    """Though the digests of the file fit it."""
    members = contents(packed / "run.zip") | {"program.json": program}
    write(tmp_path / "x.zip", sealed_again(members))
    with pytest.raises(PoOptimizerError, match=r"program\.json"):
        replay(tmp_path / "x.zip", tmp_path, code=CODE)


@pytest.mark.parametrize(
    ("inputs", "problem"),
    [
        ({"examples": {"problem": "a socket is no data"}}, "a socket is no data"),
        ({"task_lm": {"own": {"adapter": "mine:Adapter"}}}, "adapter is mine:Adapter"),
        ({"examples": {"trainset": [1]}}, "one is no example"),
        ({"examples": {"valset": [{"$": "example", "v": 1}]}}, "are malformed"),
        ({"examples": {"valset": [{"$": "enum", "class": "os:system"}]}}, "malformed"),
        ({"task_lm": {"params": {"model": ""}}}, "LM cannot be made again"),
    ],
)
def test_what_cannot_be_made_again_is_named(packed, tmp_path, inputs, problem):
    """Examples that are no data, an adapter of one's own."""
    members = contents(packed / "run.zip")
    stored = json.loads(members["inputs.json"])
    for name, part in inputs.items():
        deep = {k: stored[name][k] | v for k, v in part.items() if isinstance(v, dict)}
        stored[name] |= part | deep
    members["inputs.json"] = json.dumps(stored).encode()
    write(tmp_path / "x.zip", sealed_again(members))
    with pytest.raises(PoOptimizerError, match=problem):
        replay(tmp_path / "x.zip", tmp_path, code=CODE)


def trial(number, results, instruction=0):
    """A trial as a search tells it."""
    scores = [score for *_, score in results]
    own = Trial(
        trial=number,
        kind="minibatch",
        instruction=[instruction],
        demo_set=[0],
        score=sum(scores) / len(scores),
        n=len(scores),
        n_failed=0,
        best=1.0,
        calls_paid=0,
        calls_cached=0,
        seconds=0.0,
    )
    return Scored(own, results=results)


def test_candidates_are_ranked_by_the_answers_that_are_known():
    """From all their trials; an answer that cannot be used is 0.0, and counted."""
    valset, other = world.examples("v", 3), world.examples("t", 1)[0]
    two, six = dspy.Prediction(answer="2"), dspy.Prediction(answer="6")
    raised = dspy.Prediction()
    first = [(valset[0], six, 0.6), (valset[1], raised, 0.0)]
    scored = [
        trial(1, first),
        trial(2, [(other, six, 0.6)]),
        trial(3, [(valset[2], (two, "its trace"), 0.2)]),
        trial(4, [(e, dspy.Prediction(answer="x"), 0.9) for e in valset], 1),
        trial(5, [(valset[1], two, 0.2)], 2),
    ]
    rows = rank_again(scored, valset, digit)
    assert [(r.trials, r.n, r.n_failed) for r in rows] == [
        *(([1, 3], 3, 1), ([4], 3, 3), ([5], 1, 0))
    ]
    assert [(r.rank, r.other_rank) for r in rows] == [(2, 1), (1, 2), (None, None)]
    assert rows[0].other_score == pytest.approx((6 / 9 + 2 / 9) / 3, abs=1e-4)
    with pytest.raises(PoOptimizerError, match="gave no score"):
        rank_again(scored, valset, lambda example, prediction: 7)
    with pytest.raises(PoOptimizerError, match="a score for no answer of the search"):
        rank_again(scored, valset, lambda e, p: 1 if p.answer == e.answer else p.other)


def test_the_valset_is_the_part_that_candidates_were_chosen_on(tmp_path):
    """MIPROv2's `auto` draws one from a long valset: nobody has the other answers."""
    params = world.settings(miprov2={"auto": "light", **NONE})
    job = world.job(world.lm(tmp_path), params, n_val=150)
    assert len(Repetition(job, {}, None, [], 0).valset) < 150


NONE = {"num_trials": None, "num_candidates": None}


def test_two_lms_of_one_name_are_told(tmp_path):
    """A pack could not say which of their answers is meant."""
    request, missing, used = {"model": "m", "messages": []}, [], {}
    stores = {name: Answers(tmp_path / name) for name in ("a", "b")}
    for name, store in stores.items():
        store.put(digest(request), {"answer": name})
    a, b = (GivenAnswers(missing, used, [stores[name]]) for name in "ab")
    assert a.get(digest(request), request) == {"answer": "a"}
    with pytest.raises(AnswerMissing, match="two LMs of one name answered differently"):
        b.get(digest(request), request)


def test_a_password_in_an_address_is_a_secret(packed, tmp_path, monkeypatch):
    """A word that stands for a key where none is needed is none."""
    monkeypatch.setenv("PROXY", "http://me:Answer1with2care@host")
    monkeypatch.setenv("OPENAI_API_KEY", "question")
    pack_run(packed / "run", tmp_path / "run.zip", code=CODE)
    secret = read_inputs(packed / "run").task_lm.cache_folder
    monkeypatch.setenv("URL", f"https://u:{secret}@host")
    with pytest.raises(PoOptimizerError, match="value of URL"):
        pack_run(packed / "run", tmp_path / "x.zip", code=CODE)
