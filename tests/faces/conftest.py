"""One finished run, shared by all tests of this folder, which only read it."""

import pytest
from scripts.scrub_viz import scrub

from tests.faces.project import (
    ENVIRONMENT,
    SMALL,
    answering,
    copy_project,
    kedro,
    product_owner_answers,
    store_no_snapshots,
)


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The folder of a project whose five stages ran on a scripted LM."""
    project = copy_project(tmp_path_factory.mktemp("finished") / "project")
    store_no_snapshots(project)
    run = ("run", f"--env={ENVIRONMENT}", f"--params={SMALL}")
    with answering(product_owner_answers(project)) as url:
        done = kedro(project, *run, base_url=url)
    assert done.returncode == 0, done.stderr[-2000:]
    return project


@pytest.fixture(scope="session")
def build(finished):
    """A published page of the finished project: its folder."""
    made = kedro(
        finished,
        "viz",
        "build",
        "--include-hooks",
        "--include-previews",
        base_url="http://canary.invalid/v1",
        environment=ENVIRONMENT,
    )
    assert made.returncode == 0, made.stderr[-2000:]
    scrub(finished / "build", finished)
    return finished / "build"
