import json
import re
import sys

import pytest
from scripts.scrub_viz import scrub

from tests.faces.project import ROOT, SLUG

STAGES = {
    *("data_prep", "optimize", "persist", "evaluate", "report"),
    *("predict", "integrate"),
}


@pytest.fixture(scope="module")
def datasets(build):
    """What the page shows of each dataset, by file name."""
    nodes = [json.loads(one.read_text()) for one in (build / "api/nodes").iterdir()]
    return {
        node["filepath"].rpartition("/")[2]: node
        for node in nodes
        if node.get("filepath") and "preview_type" in node
    }


def test_no_local_path_or_secret_is_published(build, finished):
    """No file of the page names the project's folder, the code's or a key."""
    texts = [one.read_text() for one in (build / "api").rglob("*") if one.is_file()]
    for place in (
        str(finished),
        str(ROOT),
        sys.prefix,
        "canary-not-a-key",
        "canary.invalid",
    ):
        assert not any(place in text for text in texts), place


def test_records_are_shown_as_tables(datasets):
    """Raw records, splits and predictions have a table with a column a field."""
    for name in ("product_owner.jsonl", "trainset.json", "optimized_predictions.jsonl"):
        assert datasets[name]["preview_type"] == "TablePreview"
    assert "input.concept" in datasets["trainset.json"]["preview"]["columns"]
    assert len(datasets["product_owner.jsonl"]["preview"]["data"]) == 20


def test_program_is_shown_as_its_prompt(datasets):
    """The program's preview is HTML that holds its instructions."""
    program = datasets["program.json"]
    assert program["preview_type"] == "HTMLPreview"
    assert "<pre>" in program["preview"]
    shown = re.sub(r"<[^>]*>", "", program["preview"])
    assert "requirements_yaml" in shown


def test_reports_and_figures_are_shown(datasets):
    """Score report as JSON, the page as HTML, four figures as plotly."""
    assert json.loads(datasets["score_report.json"]["preview"])["optimized"]
    assert "Before and after" in datasets["report.html"]["preview"]
    figures = [
        node for node in datasets.values() if node["preview_type"] == "PlotlyPreview"
    ]
    assert len([one for one in figures if one["preview"]]) == 4


def test_written_documents_are_shown(datasets):
    """The vision's YAML is the preview, line by line."""
    assert "<br>target_" in datasets["product_vision.yaml"]["preview"]


def test_stages_stand_between_what_they_exchange(build):
    """Closed, the drawing has the stages, their inputs and what they hand on."""
    page = json.loads((build / "api/main").read_text())
    stages = page["modular_pipelines"]
    names = {node["id"]: node["name"] for node in page["nodes"]}
    assert set(stages) - {"__root__"} == STAGES
    handed_on = {names[each] for name in STAGES for each in stages[name]["outputs"]}
    assert {"new_champion", "promotion", "score_report"} <= handed_on
    assert {"report", "uplift_figure"} <= handed_on


def test_paths_stay_readable(build, datasets):
    """Paths of data and of code are given within the project."""
    path = datasets["score_report.json"]["filepath"]
    assert path == f"data/08_reporting/product_owner/{SLUG}/score_report.json"
    nodes = [json.loads(one.read_text()) for one in (build / "api/nodes").iterdir()]
    code = [node["filepath"] for node in nodes if "code" in node]
    assert code
    assert all(each.startswith("src/po_optimizer/pipelines/") for each in code)


def test_error_messages_are_removed(tmp_path):
    """What a failed run said does not reach the page."""
    status = tmp_path / "api" / "run-status"
    status.parent.mkdir()
    error = {"message": "no", "traceback": "..."}
    failed = {"nodes": {"a": {"status": "failed", "error": error}}, "pipeline": {}}
    status.write_text(json.dumps(failed))
    scrub(tmp_path, tmp_path)
    left = json.loads(status.read_text())
    assert left["nodes"]["a"] == {"status": "failed", "error": None}


def test_nothing_to_scrub_is_fine(tmp_path):
    """A build without run status and without paths is left as it is."""
    (tmp_path / "api").mkdir()
    (tmp_path / "api" / "main").write_text("{}")
    assert scrub(tmp_path, tmp_path / "project") == 0
