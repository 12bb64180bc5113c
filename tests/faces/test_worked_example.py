import json
import shutil

import pytest

from po_optimizer import load_program
from tests.faces.project import (
    ROOT,
    SLUG,
    answering,
    copy_project,
    kedro,
    support_desk_answer,
)

EXAMPLE = ROOT / "examples" / "support_desk"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project whose evaluate ran for the second role."""
    project = copy_project(tmp_path_factory.mktemp("role") / "project")
    for conf in (EXAMPLE / "conf").iterdir():
        shutil.copy(conf, project / "conf" / "openai-compatible")
    with answering(support_desk_answer) as url:
        done = kedro(
            project,
            "run",
            "--env=openai-compatible",
            "--pipeline=evaluate",
            base_url=url,
            PYTHONPATH="examples",
        )
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-2000:]
    return project


def test_another_role_is_optimized_and_judged(project):
    """The stages take a second role from the parameters; all 4 answers are scored."""
    report = json.loads(
        (project / f"data/08_reporting/{SLUG}/score_report.json").read_text()
    )
    assert report["optimized"]["score"]["n"] == 4
    assert report["optimized"]["n_failed"] == report["optimized"]["n_unscored"] == 0
    assert set(report["optimized"]["components"]) == {"category", "urgency"}


def test_another_role_is_stored(project, monkeypatch):
    """Its program is released and loads as the class that it is."""
    monkeypatch.syspath_prepend(str(EXAMPLE.parent))
    folder = project / "data/06_models/support_desk/program.json"
    path = next(folder.glob("*/program.json"))
    program = load_program(path, allowed_packages=["dspy", "support_desk"])
    assert type(program).__name__ == "Triage"
    assert list(program.sort.signature.output_fields) == ["category", "urgency"]
