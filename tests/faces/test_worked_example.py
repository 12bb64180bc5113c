"""A second role goes through a whole run by its name, beside the first one."""

import json

import pytest

from po_optimizer import load_program
from tests.faces.project import (
    SLUG,
    answering,
    copy_project,
    kedro,
    support_desk_answer,
)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project whose whole run was of the second role."""
    project = copy_project(tmp_path_factory.mktemp("role") / "project")
    run = ("run", "--env=openai-compatible", "--params=role=support_desk")
    with answering(support_desk_answer) as url:
        done = kedro(project, *run, base_url=url)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-2000:]
    return project


def test_another_role_is_optimized_and_judged(project):
    """`kedro run` takes its name, ends with evaluate, and scores all 4 answers."""
    report = json.loads(
        (
            project / f"data/08_reporting/support_desk/{SLUG}/score_report.json"
        ).read_text()
    )
    assert report["optimized"]["score"]["n"] == 4
    assert report["optimized"]["n_failed"] == report["optimized"]["n_unscored"] == 0
    assert set(report["optimized"]["components"]) == {"category", "urgency"}


def test_table_of_inputs_is_answered(project):
    """`--pipeline=predict` of a role without an integration; so is `integrate`."""
    (project / "new.csv").write_text('message,id\n"Charged twice, again.",7\n')
    given = "role=support_desk,predict.inputs=new.csv,predict.outputs=out.jsonl"
    run = ("run", "--env=openai-compatible", "--pipeline=integrate")
    with answering(lambda _: '{"category": "billing", "urgency": "high"}') as url:
        done = kedro(project, *run, f"--params={given}", base_url=url)
    assert done.returncode == 0, done.stderr[-2000:]
    (line,) = map(json.loads, (project / "out.jsonl").read_text().splitlines())
    assert line["outputs"] == {"category": "billing", "urgency": "high"}
    assert line["inputs"]["id"] == "7"
    (project / "out.jsonl").unlink()


def test_roles_never_write_into_one_anothers_folder(project):
    """All that this one made lies in a folder of its name; nothing in planning."""
    for layer in (project / "data").glob("0[2-8]_*"):
        folders = {path.name for path in layer.iterdir() if path.is_dir()}
        assert folders <= {"support_desk", "judged_programs"}, layer
    assert not (project / "planning").exists()


def test_another_role_is_stored(project):
    """Its program is released and loads as the class that it is."""
    folder = project / f"data/06_models/support_desk/{SLUG}/program.json"
    path = next(folder.glob("*/program.json"))
    program = load_program(path, allowed_packages=["dspy", "support_desk"])
    assert type(program).__name__ == "Triage"
    assert list(program.sort.signature.output_fields) == ["category", "urgency"]
