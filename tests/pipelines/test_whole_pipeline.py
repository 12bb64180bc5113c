"""data_prep to evaluate on the real embedded LM, and the same run again for nothing."""

import json

import pytest
import yaml

from po_optimizer import load_program
from po_optimizer.lms.ledger import Ledger
from tests.canary import KEY, PROMPT_KEY, holders
from tests.faces.project import ROOT, copy_project, kedro, store_no_snapshots
from tests.small_role import ROLE, write_records
from tests.weights import needs_weights

SLUG = "embedded-smollm2-135m-instruct"
SETTINGS = {
    "role": ROLE,
    "data_prep": {"sizes": {"train": 3, "val": 2, "test": 2}},
    "optimize": {
        "miprov2": {
            **{"num_candidates": 2, "num_trials": 2},
            **{"tip_aware_proposer": False, "fewshot_aware_proposer": False},
        }
    },
    "lm": {
        **{"max_tokens": 50, "context_tokens": 2048, "seconds_per_example": 3},
        # nothing is measured first, and tests beside this one have a core
        "embedded": {"threads": 1, "threads_prompt": 1},
    },
    "prompt_lm": {"max_tokens": 50, "bounds": {"text_characters": 120}},
    "promotion": {"num_resamples": 1000},
}

pytestmark = pytest.mark.embedded


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project whose environment `small` is the tests' own role."""
    project = copy_project(tmp_path_factory.mktemp("whole") / "project")
    store_no_snapshots(project)
    settings = project / "conf" / "small" / "parameters_small.yml"
    settings.parent.mkdir()
    settings.write_text(yaml.safe_dump(SETTINGS))
    write_records(project / "data/01_raw/product_owner.jsonl", 12)
    return project


def run(project):
    """`kedro run --pipeline=evaluate`; the paid calls of the LM after it."""
    done = kedro(
        project,
        "run",
        "--env=small",
        "--pipeline=evaluate",
        PYTHONPATH=str(ROOT),
        PO_LM_API_KEY=KEY,
        PO_PROMPT_LM_API_KEY=PROMPT_KEY,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    said = (done.stdout + done.stderr).encode()
    assert not holders(project, [KEY, PROMPT_KEY], said)
    ledger = Ledger(
        project / "data/07_model_output/product_owner" / SLUG / "ledger.sqlite"
    )
    return ledger.totals()


@pytest.fixture(scope="module")
def first(project):
    """The totals after the first run."""
    return run(project)


def document(project, path):
    """A JSON document that the run made."""
    return json.loads((project / "data" / path).read_text())


@needs_weights
def test_splits_have_the_sizes_that_were_asked(project, first):
    """Records are checked and split by the role's own record type."""
    sizes = [
        len(document(project, f"05_model_input/product_owner/{name}.json"))
        for name in ("trainset", "valset")
    ]
    testset = (project / "data/05_model_input/product_owner/testset.jsonl").read_text()
    assert [*sizes, testset.count("\n")] == [3, 2, 2]


@needs_weights
def test_optimization_ran_its_trials(project, first):
    """The baseline and what raced it stand in the journal, each on the whole valset."""
    trials = document(project, f"06_models/product_owner/{SLUG}/trials.json")
    assert trials[0]["kind"] == "baseline"
    assert len(trials) > 1
    assert {trial["n"] for trial in trials} == {2}
    report = document(
        project, f"06_models/product_owner/{SLUG}/optimization_report.json"
    )
    assert report["ended"] == "completed"


@needs_weights
def test_program_reloads_with_its_provenance(project, first):
    """The released artifact is a program, and says how it came about."""
    (path,) = (project / "data/06_models/product_owner" / SLUG / "program.json").glob(
        "*/*.json"
    )
    program = load_program(path, allowed_packages=["dspy", "tests"])
    assert type(program).__name__ == "Labeler"
    assert list(program.label.signature.output_fields) == ["label"]
    assert json.loads(path.read_text())["provenance"]["splits"]["testset"] == 2


@needs_weights
def test_scores_have_their_n(project, first):
    """Both programs are scored on all of the testset."""
    report = document(project, f"08_reporting/product_owner/{SLUG}/score_report.json")
    for which in ("baseline", "optimized"):
        assert report[which]["score"]["n"] == 2
        assert report[which]["n_unscored"] == 0
        assert 0.0 <= report[which]["score"]["mean"] <= 1.0


@needs_weights
def test_decision_and_report_are_written(project, first):
    """The promotion has its reasons; the page is whole."""
    promotion = document(project, f"08_reporting/product_owner/{SLUG}/promotion.json")
    assert promotion["decision"] in {"promote", "keep_baseline", "inconclusive"}
    assert promotion["reasons"]
    page = (
        project / "data/08_reporting/product_owner" / SLUG / "report.html"
    ).read_text()
    assert page.rstrip().endswith("</html>")


@needs_weights
def test_same_run_again_pays_nothing(project, first):
    """Every answer is kept: the second run asks the LM not once."""
    again = run(project)
    assert first.paid > 0
    assert again.paid == first.paid
    assert again.cached > first.cached
