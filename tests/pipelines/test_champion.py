"""Champion against challenger through Kedro: real nodes, real files, scripted LM."""

import json
from pathlib import Path

import dspy
import pytest
from click.testing import CliRunner
from kedro.io import DataCatalog, DatasetError, MemoryDataset
from kedro.runner import SequentialRunner

from po_optimizer.config_loader import ProjectConfigLoader
from po_optimizer.console.runs import runs
from po_optimizer.errors import ArtifactError
from po_optimizer.params import EvaluateParams, FeaturesParams, PromotionParams
from po_optimizer.persistence.promoted import load_promoted
from po_optimizer.pipelines.evaluate import create_pipeline
from po_optimizer.pipelines.predict.nodes import choose_program
from po_optimizer.settings import CONFIG_LOADER_ARGS
from tests.pipelines.evaluating import CONF, TRIALS, records
from tests.scripted import scripted_lm
from tests.small_role import Labeler
from tests.test_small_role import ROLE

RIGHT = {"strong": 95, "weak": 70}  # of 100 answers; the baseline has none
PLACE = "embedded-smollm2-135m-instruct"
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


@pytest.fixture
def lm(tmp_path, monkeypatch):
    """A scripted LM; the working directory is a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return scripted_lm(answer, tmp_path / "lm", num_threads=2)


def catalog_of(lm, run: str, n: int = 60) -> DataCatalog:
    """The project's catalog in one run; its files lie in the working directory."""
    loader = ProjectConfigLoader(str(CONF), env="base", **CONFIG_LOADER_ARGS)
    entries = loader["catalog"]
    for entry in entries.values():
        entry.pop("credentials", None)
    entries["optimized_program"]["verify"] = "inline"
    catalog = DataCatalog.from_config(entries, save_version=run)
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


def judge(lm, run: str, word: str, n: int = 60) -> DataCatalog:
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
    )
    instructions = str(chosen.label.signature.instructions)
    return instructions if choice["program"] == "optimized" else ""


def test_worse_challenger_does_not_replace_the_champion(lm):
    """The first run is promoted, the second is better than the baseline, no more."""
    first = judge(lm, "run-1", "strong")
    assert first.load("promotion")["decision"] == "promote"
    paid = lm.meter.ledger.totals().paid
    second = judge(lm, "run-2", "weak")
    decision, report = second.load("promotion"), second.load("score_report")
    assert decision["decision"] == "keep_champion"
    assert "not better than the promoted program" in decision["reasons"][0]
    assert report["uplift"]["score"]["mean"] > 0.3
    assert report["champion"]["score"]["mean"] > report["optimized"]["score"]["mean"]
    assert lm.meter.ledger.totals().paid - paid == 60  # the challenger's answers alone
    assert running(lm) == "Name it, strong hand."


def test_better_challenger_replaces_the_champion(lm):
    """The other order: both are promoted, the second over the first."""
    judge(lm, "run-1", "weak")
    assert running(lm) == "Name it, weak hand."
    second = judge(lm, "run-2", "strong")
    assert second.load("promotion")["decision"] == "promote"
    assert "over the promoted program" in second.load("promotion")["reasons"][0]
    assert second.load("new_champion")["run"] == "run-2"
    assert running(lm) == "Name it, strong hand."


def test_champion_judged_again_stays(lm):
    """To run evaluate again asks the LM nothing and takes nothing back."""
    judge(lm, "run-1", "strong")
    paid = lm.meter.ledger.totals().paid
    again = judge(lm, "run-2", "strong")
    assert lm.meter.ledger.totals().paid == paid
    assert "It is the promoted program" in " ".join(again.load("promotion")["reasons"])
    assert again.load("new_champion")["run"] == "run-1"


def test_champion_is_measured_on_the_testset_of_today(lm):
    """On other examples the champion answers anew: old scores would not compare."""
    judge(lm, "run-1", "strong", n=40)
    report = judge(lm, "run-2", "weak", n=60).load("score_report")
    assert report["champion"]["n_examples"] == 60


def test_champion_that_is_not_there_is_an_error(lm, tmp_path):
    """A lost version is never taken for "none is promoted"."""
    judge(lm, "run-1", "strong")
    (document,) = tmp_path.rglob("program.json/run-1/program.json")
    document.unlink()
    with pytest.raises(DatasetError, match="not among the versions"):
        running(lm)
    with pytest.raises(ArtifactError, match="not among the versions"):
        load_promoted(document.parents[3].name, PLACE)


def test_champion_of_before_there_was_a_champion_file_is_found(lm, tmp_path):
    """Its promotion.json names it, and a worse program does not replace it."""
    judge(lm, "run-1", "strong")
    (champion,) = tmp_path.rglob("champion.json")
    champion.unlink()
    assert running(lm) == "Name it, strong hand."
    second = judge(lm, "run-2", "weak")
    assert second.load("promotion")["decision"] == "keep_champion"
    assert running(lm) == "Name it, strong hand."


@pytest.fixture
def command():
    """`po-optimizer runs ...`, and what it says."""

    def invoke(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(runs, words)
        return done.exit_code, done.output

    return invoke


def test_rolling_back_is_one_command_and_asks_nothing(lm, command):
    """Run 2 replaced run 1; run 1's program runs again without an evaluation."""
    judge(lm, "run-1", "weak")
    judge(lm, "run-2", "strong")
    paid = lm.meter.ledger.totals().paid
    code, said = command("promote", "run-1")
    assert (code, "run-1 is promoted" in said) == (0, True)
    assert running(lm) == "Name it, weak hand."
    assert lm.meter.ledger.totals().paid == paid


def test_run_that_was_not_promoted_needs_a_name(lm, command):
    """Against the measurement a person decides, and is named."""
    judge(lm, "run-1", "strong")
    judge(lm, "run-2", "weak")
    code, said = command("promote", "run-2")
    assert (code, "keep_champion" in said, "--by NAME" in said) == (1, True, True)
    assert command("promote", "run-2", "--by", "Ada")[0] == 0
    assert running(lm) == "Name it, weak hand."
    assert command("demote", "run-2", "--by", "Ada")[0] == 0
    assert running(lm) == ""


def test_run_on_another_testset_is_judged_again(lm, command):
    """Scores of other examples do not compare, so no roll-back without evaluating."""
    judge(lm, "run-1", "strong", n=40)
    judge(lm, "run-2", "strong", n=60)
    code, said = command("promote", "run-1")
    assert (code, "another testset" in said) == (1, True)


def test_runs_are_listed_compared_and_pruned(lm, command, monkeypatch):
    """Each run kept its report, scores, trials and prompts; the champion's stays."""
    monkeypatch.setenv("COLUMNS", "200")
    judge(lm, "run-1", "strong")
    for number in (2, 3):
        judge(lm, f"run-{number}", "weak")
    _, said = command()
    assert [said.index(f"run-{number}") for number in (3, 2, 1)] == sorted(
        said.index(f"run-{number}") for number in (3, 2, 1)
    )
    assert "run-1 *" in said
    _, said = command("diff", "run-1", "run-2")
    assert "Name it, strong hand." in said
    assert "Name it, weak hand." in said
    kept = {path.name for path in next(Path().rglob("runs/run-1")).iterdir()}
    assert {"report.html", "score_report.json", "trials.json", "program.json"} <= kept
    code, said = command("prune", "--keep", "1")
    assert (code, "1 runs deleted" in said, "run-2" in said) == (0, True, True)
    assert command("promote", "run-9")[0] == 1


def test_promoted_program_is_loaded_from_python(lm, tmp_path):
    """`load_promoted` gives what integrate runs; where none is, an error."""
    judge(lm, "run-1", "strong")
    (champion,) = tmp_path.rglob("champion.json")
    role, place = champion.parts[-3], champion.parts[-2]
    loaded = load_promoted(role, place, allowed_packages=["dspy", "tests"])
    assert loaded.label.signature.instructions == "Name it, strong hand."
    champion.write_text('{"program": null}')
    with pytest.raises(ArtifactError, match="no program is promoted"):
        load_promoted(role, place)
