"""The nodes of data_prep to evaluate, one after the other, on a scripted LM."""

import json
from statistics import fmean

import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline, node

from po_optimizer.console.next_step import Invocation
from po_optimizer.console.summary import show_summary
from po_optimizer.errors import BelowBoundError, PoOptimizerError
from po_optimizer.evaluation.predictions import PredictionRecord
from po_optimizer.optimization.journal import BEST_ANSWERS
from po_optimizer.params.evaluate import EvaluateParams, PromotionParams
from po_optimizer.params.optimize import OptimizeParams
from po_optimizer.params.project import DataPrepParams
from po_optimizer.persistence import get_provenance
from po_optimizer.pipelines.data_prep import nodes as data_prep
from po_optimizer.pipelines.evaluate import nodes as evaluate
from po_optimizer.pipelines.optimize import nodes as optimize
from po_optimizer.pipelines.persist import nodes as persist
from tests.scripted import scripted_lm
from tests.small_role import Labeler, raw_record
from tests.test_small_role import ROLE

KINDS = ("tool", "book", "game")
PARAMS = OptimizeParams(miprov2={"num_candidates": 2, "num_trials": 2})


def answer(prompt):
    """The right product once an instruction says so, a wrong one before."""
    if "label" not in prompt.rsplit("Respond with", 1)[-1]:
        names = ("proposed_instruction", "program_description", "observations")
        return json.dumps(dict.fromkeys(names, "Name it with care."))
    asked = prompt[prompt.rfind("Item") :].split()[0]
    product = asked if "with care" in prompt else "Thing"
    return json.dumps({"label": {"product": product, "tags": ["x"]}})


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """What the stages hand on, by the catalog's names."""
    folder = tmp_path_factory.mktemp("stages")
    lm = scripted_lm(answer, folder, provider="embedded")  # no server is asked
    lines = [json.dumps(raw_record(n, KINDS[n % 3])) for n in range(12)]
    lines.insert(3, '{"text": 1}')
    made = {"lm": lm, "role": ROLE}
    sizes = DataPrepParams(sizes={"train": 4, "val": 3, "test": 4})
    checked, rejected = data_prep.check_raw_records("\n".join(lines), ROLE, sizes)
    made |= data_prep.split_checked_records(
        checked, rejected, None, None, None, ROLE, sizes
    )
    splits = (made["trainset"], made["valset"])
    made["preflight"], made["forecast"] = optimize.prepare_optimization(
        *(*splits, made["testset"], lm, lm, ROLE, PARAMS),
        *(PromotionParams(), EvaluateParams(), folder),
    )
    made |= optimize.optimize_program(
        *splits, lm, lm, ROLE, PARAMS, made["forecast"], folder
    )
    made["optimized"] = persist.release_program(
        made["candidate_program"],
        made["optimization_report"],
        made["data_report"],
        ROLE,
    )
    *both, champion = evaluate.predict_programs(
        made["optimized"], None, made["testset"], lm, ROLE
    )
    made["predictions"] = [list(answers) for answers in both]
    assert list(champion) == []
    made["lm_usage"] = evaluate.count_calls(made["predictions"][1], lm)
    promotion = PromotionParams(num_resamples=1000)
    made |= evaluate.compare_programs(
        *made["predictions"],
        [],
        made["optimized"],
        None,
        None,
        made["testset"],
        made["trials"],
        made["lm_usage"],
        ROLE,
        promotion,
        folder,
    )
    made["folder"] = folder
    return made


def test_rejected_record_is_in_the_data_report(made):
    """What was left out is told with its line."""
    report = made["data_report"]
    assert (report["n_usable"], report["n_rejected"]) == (12, 1)
    assert report["rejected"][0]["line"] == 4
    assert report["duplicates"] == []


def test_preflight_report_lists_every_check(made):
    """Passed checks are shown too."""
    assert made["preflight"]["checks"]
    assert all(check["passed"] for check in made["preflight"]["checks"])


def test_forecast_counts_calls(made):
    """The forecast is JSON-ready and not zero."""
    assert json.dumps(made["forecast"])
    assert '"calls": 0' not in json.dumps(made["forecast"])


def test_forecast_alone_is_shown_in_words(made, capsys):
    """`--pipeline=forecast` ends with what the optimization would cost."""
    catalog = DataCatalog({"forecast": MemoryDataset(made["forecast"])})
    pipeline = Pipeline([node(lambda: 0, None, "forecast")])
    show_summary(pipeline, catalog, Invocation("base", {}))
    assert "calls" in capsys.readouterr().out


def test_candidate_is_better_than_the_baseline(made):
    """The instruction that helps is found, and its trials are recorded."""
    report = made["optimization_report"]
    assert report["best"]["score"] == 1.0
    assert report["baseline"]["score"] == 0.5
    assert "with care" in made["candidate_program"].label.signature.instructions
    assert made["trials"][0]["kind"] == "baseline"


def test_best_program_is_on_the_disk_while_the_node_runs(made):
    """A killed process leaves the best so far and the journal."""
    names = {path.name for path in made["folder"].iterdir()}
    assert {"best_program_so_far.json", "trials.jsonl"} <= names
    answers = (made["folder"] / BEST_ANSWERS).read_text().splitlines()
    records = [PredictionRecord.model_validate_json(answer) for answer in answers]
    assert len(records) == len(made["valset"])
    assert fmean(record.score for record in records) == 1.0
    assert all(record.outputs for record in records)


def test_released_program_says_how_it_came_about(made):
    """Data, optimizer, seed, LMs, scores and versions."""
    known = get_provenance(made["optimized"])
    assert known["data_hash"] == made["data_report"]["data_hash"]
    assert known["splits"] == {"trainset": 4, "valset": 3, "testset": 4}
    assert (known["optimizer"], known["seed"]) == ("miprov2", 9)
    assert (known["task_lm"], known["prompt_lm"]) == ("scripted", "scripted")
    assert known["versions"]["dspy"]


def test_prompt_diff_shows_the_new_instruction(made):
    """Before and after stand on one page, and in lines for the terminal."""
    page, lines = evaluate.compare_prompts(made["optimized"], made["lm"], ROLE)
    assert lines[0].startswith("New instructions")
    assert "with care" in page
    assert "up to three tags" in page


def test_both_programs_are_scored_on_the_testset(made):
    """Means, n and the paired uplift are those of the two programs."""
    report = made["score_report"]
    assert report["baseline"]["score"]["mean"] == 0.5
    assert report["optimized"]["score"]["mean"] == 1.0
    assert report["optimized"]["score"]["n"] == 4
    assert report["reference"]["score"]["mean"] == 1.0


def test_usage_of_each_program_is_its_own(made):
    """The ledger tells the baseline's calls from the optimized program's."""
    for which in ("baseline", "optimized"):
        usage = made["score_report"][which]["usage"]
        assert usage["paid"] + usage["cached"] == 4


def test_report_is_one_page(made):
    """Decision and scores stand in it; each figure is a catalog entry of its own."""
    outputs = evaluate.write_report(
        made["score_report"],
        made["promotion"],
        *made["predictions"],
        made["trials"],
        made["preflight"],
        made["optimization_report"],
        made["optimized"],
        "<p>the prompts</p>",
        made["lm_usage"],
        ROLE,
    )
    page, files = outputs.pop("report"), outputs.pop("kept_runs")
    assert "the prompts" in page
    assert len(outputs) == 4
    assert list(files)[-1].endswith("/run.json")
    assert "Labeler on scripted" in page
    assert page.rstrip().endswith("</html>")


def test_bound_that_is_met_passes(made):
    """Nothing is raised."""
    evaluate.check_bounds(
        made["score_report"], [], EvaluateParams(fail_below={"uplift": 0.4})
    )


def test_bound_that_is_not_met_fails_the_run(made):
    """CI reads the exit code; the report is written before."""
    bounds = EvaluateParams(fail_below={"uplift": 0.6})
    with pytest.raises(BelowBoundError, match=r"uplift=0.6 is not met.*0.5"):
        evaluate.check_bounds(made["score_report"], [], bounds)


def test_evaluate_without_a_program_says_what_to_run(made):
    """There is nothing to compare the baseline with."""
    with pytest.raises(PoOptimizerError, match="evaluate"):
        evaluate.predict_programs(None, None, made["testset"], made["lm"], ROLE)


def test_inputs_of_the_nodes_are_not_changed(made):
    """The baseline program stays what it was, and so do the splits."""
    assert "with care" not in Labeler().label.signature.instructions
    assert set(made["trainset"][0]) == {"text", "label", "kind"}
