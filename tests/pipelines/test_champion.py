"""Champion against challenger through Kedro: real nodes, real files, scripted LM."""

import json
import os
import shutil
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import dspy
import pytest
from click.testing import CliRunner
from kedro.io import DataCatalog, DatasetError, MemoryDataset
from kedro.runner import SequentialRunner

from po_optimizer.__main__ import group
from po_optimizer.config_loader import ProjectConfigLoader
from po_optimizer.errors import ArtifactError
from po_optimizer.params.evaluate import EvaluateParams, PromotionParams
from po_optimizer.params.project import FeaturesParams
from po_optimizer.persistence.promoted import load_promoted
from po_optimizer.pipelines.evaluate import create_pipeline
from po_optimizer.pipelines.predict.nodes import choose_program
from po_optimizer.settings import CONFIG_LOADER_ARGS
from tests.pipelines.evaluating import CONF, TRIALS, records
from tests.scripted import scripted_lm
from tests.small_role import Labeler
from tests.test_small_role import ROLE

RIGHT = {"strong": 95, "weak": 45}  # of 100 answers; the baseline has none
QUICK = PromotionParams(num_resamples=1000, target_rubric=0.0)


def answer(prompt: str) -> str:
    """Right as often as the instruction's word says."""
    number = int(prompt[prompt.rfind("Item") + 4 :].split(maxsplit=1)[0])
    share = next((n for word, n in RIGHT.items() if f"{word} hand" in prompt), 0)
    product = f"Item{number}" if number * 37 % 100 < share else "Thing"
    return json.dumps({"label": {"product": product, "tags": ["x"]}})


def program(word: str) -> dspy.Module:
    """A Labeler whose instruction says how good it is."""
    labeler = Labeler()
    signature = labeler.label.signature.with_instructions(f"Name it, {word} hand.")
    labeler.label.signature = signature
    return labeler


@cache
def entries() -> dict[str, Any]:
    """The project's catalog without credentials; to verify in a process takes long."""
    loader = ProjectConfigLoader(str(CONF), env="base", **CONFIG_LOADER_ARGS)
    found: dict[str, Any] = loader["catalog"]
    for entry in found.values():
        entry.pop("credentials", None)
    found["optimized_program"]["verify"] = "inline"
    return found


def catalog_of(lm, run: str, n: int = 30) -> DataCatalog:
    """The project's catalog in one run; its files lie in the working directory."""
    catalog = DataCatalog.from_config(deepcopy(entries()), save_version=run)
    lm.meter.run_id = run
    given = {
        "task_lm": lm,
        "trials": TRIALS,
        "preflight_report": {"checks": []},
        "optimization_report": {"spent": {}},
        "params:role": ROLE,
        "params:promotion": QUICK,
        "params:evaluate": EvaluateParams(),
    }
    for name, value in given.items():
        catalog[name] = MemoryDataset(value, copy_mode="assign")
    catalog.save("testset", records(n))
    for name in ("optimized_program", "champion_program"):
        catalog.get(name).use_donor(Labeler, {})
    return catalog


def judge(lm, run: str, word: str, n: int = 30) -> DataCatalog:
    """One run that released this program and evaluated it."""
    catalog = catalog_of(lm, run, n)
    catalog.save("optimized_program", program(word))
    SequentialRunner().run(create_pipeline(), catalog)
    return catalog


def running(lm, run: str = "later") -> str:
    """The instruction of what integrate would run, "" for the baseline's."""
    catalog = catalog_of(lm, run)
    chosen, choice = choose_program(
        catalog.load("promotion"),
        catalog.load("champion_program"),
        ROLE,
        FeaturesParams(),
        lm,
    )
    instructions = str(chosen.label.signature.instructions)
    return instructions if choice["program"] == "optimized" else ""


def scripted(folder: Path):
    """The scripted LM of a folder; it has its ledger and its answers there."""
    return scripted_lm(answer, folder / "lm", num_threads=2)


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """Folders in which two programs were judged, by their order."""
    folders, before = {}, Path.cwd()
    for order in (("strong", "weak"), ("weak", "strong")):
        folder = tmp_path_factory.mktemp("-".join(order))
        os.chdir(folder)
        lm = scripted(folder)
        for number, word in enumerate(order, start=1):
            judge(lm, f"run-{number}", word)
        folders[order] = folder
    os.chdir(before)
    return folders


@pytest.fixture
def strong_first(judged, tmp_path, monkeypatch):
    """A copy in which the weak program challenged the strong one; the LM in it."""
    return copied(judged["strong", "weak"], tmp_path / "copy", monkeypatch)


@pytest.fixture
def weak_first(judged, tmp_path, monkeypatch):
    """A copy in which the strong program challenged the weak one; the LM in it."""
    return copied(judged["weak", "strong"], tmp_path / "copy", monkeypatch)


def copied(folder, copy, monkeypatch):
    """The LM of a copy that is the working directory."""
    shutil.copytree(folder, copy)
    monkeypatch.chdir(copy)
    return scripted(copy)


def stored(name: str) -> dict[str, Any]:
    """A JSON document that the last run left."""
    (path,) = (p for p in Path("data").rglob(name) if "runs" not in p.parts)
    document: dict[str, Any] = json.loads(path.read_text())
    return document


def test_worse_challenger_does_not_replace_the_champion(strong_first):
    """The first run was promoted; the second is better than the baseline, no more."""
    decision, report = stored("promotion.json"), stored("score_report.json")
    assert decision["decision"] == "keep_champion"
    assert "not better than the promoted program" in decision["reasons"][0]
    assert report["uplift"]["score"]["mean"] > 0.1
    assert report["champion"]["score"]["mean"] > report["optimized"]["score"]["mean"]
    assert running(strong_first) == "Name it, strong hand."


def test_champion_is_compared_for_nothing(strong_first):
    """Its answers are kept: each of three programs was asked 30 times."""
    assert strong_first.meter.ledger.totals().paid == 90


def test_better_challenger_replaces_the_champion(weak_first):
    """The other order: both are promoted, the second over the first."""
    decision = stored("promotion.json")
    assert decision["decision"] == "promote"
    assert "over the promoted program" in decision["reasons"][0]
    assert stored("champion.json")["run"] == "run-2"
    assert running(weak_first) == "Name it, strong hand."


def test_champion_judged_again_stays(weak_first):
    """To run evaluate again asks the LM nothing and takes nothing back."""
    paid = weak_first.meter.ledger.totals().paid
    judge(weak_first, "run-3", "strong")
    assert weak_first.meter.ledger.totals().paid == paid
    assert "It is the promoted program" in " ".join(stored("promotion.json")["reasons"])
    assert stored("champion.json")["run"] == "run-2"


def test_champion_is_measured_on_the_testset_of_today(strong_first, command):
    """On other examples it answers anew; a run judged on the old ones is refused."""
    report = judge(strong_first, "run-3", "weak", n=20).load("score_report")
    assert report["champion"]["n_examples"] == 20
    code, said = command("promote", "run-1")
    assert (code, "another testset" in said) == (1, True)


def test_run_is_found_by_what_is_shown_of_it(strong_first, command):
    """The list's names and the paths of errors are names of a run."""
    (folder,) = Path("data/08_reporting").rglob("runs/run-1")
    lm, role = folder.parts[-3], folder.parts[-4]
    for name in (f"{role}/{lm} run-1", f"{role}/{lm}/runs/run-1", str(folder)):
        assert command("diff", name, "run-2")[0] == 0


def test_champion_that_is_not_there_is_an_error(strong_first):
    """A lost version is never taken for "none is promoted"."""
    (document,) = Path("data").rglob("program.json/run-1/program.json")
    document.unlink()
    with pytest.raises(DatasetError, match="not among the versions"):
        running(strong_first)
    lm, role = document.parts[-4], document.parts[-5]
    with pytest.raises(ArtifactError, match="not among the versions"):
        load_promoted(role, lm)


def test_champion_of_before_there_was_a_champion_file_is_found(weak_first):
    """Its promotion.json names it, and a worse program does not replace it."""
    (champion,) = Path("data").rglob("champion.json")
    champion.unlink()
    assert running(weak_first) == "Name it, strong hand."
    judge(weak_first, "run-3", "weak")
    assert stored("promotion.json")["decision"] == "keep_champion"
    assert running(weak_first) == "Name it, strong hand."


def test_damaged_champion_file_is_an_error(strong_first):
    """What cannot be read does not say that there is no champion."""
    (champion,) = Path("data").rglob("champion.json")
    champion.write_text("{")
    with pytest.raises(DatasetError, match=r"champion\.json"):
        running(strong_first)


@pytest.fixture
def command(monkeypatch):
    """`po-optimizer runs ...`, and what it says."""
    monkeypatch.setenv("COLUMNS", "200")

    def invoke(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(group, ["runs", *words])
        return done.exit_code, done.output

    return invoke


def test_rolling_back_is_one_command_and_asks_nothing(weak_first, command):
    """Run 2 replaced run 1; run 1's program runs again without an evaluation."""
    paid = weak_first.meter.ledger.totals().paid
    code, said = command("promote", "run-1")
    assert (code, "run-1 is promoted" in said) == (0, True)
    assert running(weak_first) == "Name it, weak hand."
    assert weak_first.meter.ledger.totals().paid == paid


def test_run_that_was_not_promoted_needs_a_name(strong_first, command):
    """Against the measurement a person decides, and is named."""
    code, said = command("promote", "run-2")
    assert (code, "keep_champion" in said, "--by NAME" in said) == (1, True, True)
    assert command("promote", "run-2", "--by", "Ada")[0] == 0
    assert "by hand of Ada" in stored("champion.json")["reason"]
    assert running(strong_first) == "Name it, weak hand."
    assert command("demote", "run-2", "--by", "Ada")[0] == 0
    assert running(strong_first) == ""


def test_runs_are_listed_the_newest_first(strong_first, command):
    """A line a run, with what it reached and cost; the promoted one is marked."""
    _, said = command()
    assert said.index("run-2") < said.index("run-1 *")
    assert "keep_champion" in said


def test_two_runs_stand_side_by_side(strong_first, command):
    """Scores and prompts of both; an unknown run is an error that names the others."""
    _, said = command("diff", "run-1", "run-2")
    assert "Name it, strong hand." in said
    assert "Name it, weak hand." in said
    code, said = command("diff", "run-1", "run-9")
    assert (code, "no run begins so" in said, "run-2" in said) == (1, True, True)


def test_pruning_keeps_the_champions_run(strong_first, command):
    """Of two runs the older one is the champion's: none can go."""
    assert "0 runs deleted" in command("prune", "--keep", "1")[1]
    assert "1 runs deleted" in command("prune", "--keep", "0")[1]
    (folder,) = Path("data").rglob("runs/*")
    kept = {path.name for path in folder.iterdir()}
    assert folder.name == "run-1"
    assert {"report.html", "score_report.json", "trials.json", "program.json"} <= kept


def test_no_run_is_said_in_a_sentence(tmp_path, command):
    """A folder without runs names the command that makes one."""
    assert "kedro run" in command("--reporting", str(tmp_path))[1]


def test_promoted_program_is_loaded_from_python(strong_first):
    """`load_promoted` gives what integrate runs; where none is, an error."""
    (champion,) = Path("data").rglob("champion.json")
    role, lm = champion.parts[-3], champion.parts[-2]
    loaded = load_promoted(role, lm, allowed_packages=["dspy", "tests"])
    assert loaded.label.signature.instructions == "Name it, strong hand."
    champion.write_text('{"program": null}')
    with pytest.raises(ArtifactError, match="no program is promoted"):
        load_promoted(role, lm)
