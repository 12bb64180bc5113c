"""Whole runs that are killed and resumed leave one released version and no litter."""

import json
import subprocess
import sys

import pytest

from tests.faces.project import ROOT


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", ["miprov2", "gepa", "python"])
def test_killed_runs_release_once(kind):
    """Whole runs, killed up to three times, then run to the end."""
    command = [sys.executable, "-m", "tests.pipelines.kill_rounds", "30", kind]
    done = subprocess.run(  # noqa: S603 our own module
        command, cwd=ROOT, capture_output=True, text=True, check=True
    )
    counts = json.loads(done.stdout)
    assert counts["kills"] > 30
    assert (counts["versions"], counts["most_versions"]) == (30, 1)
    assert counts["with_leftovers"] == 0
