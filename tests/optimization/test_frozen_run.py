"""A run that an earlier version began is continued."""

import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from po_optimizer.optimization import optimize
from po_optimizer.optimization.fingerprint import run_fingerprint
from po_optimizer.optimization.job import Job
from tests.optimization import world
from tests.optimization.frozen import role
from tests.scripted import scripted_lm

FROZEN = Path(__file__).parent / "frozen"
INSTALLED = ("python", "dspy version", "optuna version", "gepa version")


@pytest.fixture
def folder(tmp_path):
    """The run's folder as version 0.4 left it when it was killed."""
    (tmp_path / "response_cache").mkdir()
    for dump, path in (
        ("ledger.sql", "ledger.sqlite"),
        ("answers.sql", "response_cache/answers.sqlite"),
    ):
        connection = sqlite3.connect(tmp_path / path)
        connection.executescript((FROZEN / dump).read_text(encoding="utf-8"))
        connection.close()
    shutil.copy(FROZEN / "trials.jsonl", tmp_path)
    return tmp_path


def test_a_frozen_run_is_resumed_without_a_call(folder):
    """Journal, fingerprint, ledger and answers of an earlier version are read."""
    lm = scripted_lm(role.answer, folder, num_retries=0)
    job = Job(
        student=role.program(),
        trainset=role.examples("t", 6),
        valset=role.examples("v", 6),
        metric=role.metric,
        task_lm=lm,
        prompt_lm=lm,
        params=world.settings(),
    )
    stored = json.loads((FROZEN / "trials.fingerprint.json").read_bytes())
    now = run_fingerprint(job)
    stored |= {name: now[name] for name in INSTALLED}
    (folder / "trials.fingerprint.json").write_text(json.dumps(stored))
    result = optimize(job, workspace=folder, save_best=world.Shelf())
    assert lm.scripted.prompts == []
    frozen = (FROZEN / "trials.jsonl").read_bytes()
    assert (folder / "trials.jsonl").read_bytes() == frozen
    assert result.report.best.trial == 2
    if stored == json.loads((FROZEN / "trials.fingerprint.json").read_bytes()):
        assert result.report.spent.paid == 28
