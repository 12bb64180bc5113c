"""A run that an earlier version began is continued."""

import json
import shutil
import sqlite3
from pathlib import Path

from po_optimizer.optimization.job import Job
from po_optimizer.optimization.run import optimize
from po_optimizer.optimization.run_identity import run_fingerprint
from tests.optimization import world
from tests.optimization.frozen import role
from tests.scripted import scripted_lm

FROZEN = Path(__file__).parent / "frozen"
INSTALLED = ("python", "dspy version", "optuna version", "gepa version")


def restore(dump, path):
    """A SQLite file from its dump."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path)
    connection.executescript((FROZEN / dump).read_text(encoding="utf-8"))
    connection.close()


def test_a_frozen_run_is_resumed_without_a_call(tmp_path):
    """Journal, fingerprint, ledger and answers of an earlier version are read."""
    folder = tmp_path
    restore("ledger.sql", folder / "ledger.sqlite")
    shutil.copy(FROZEN / "trials.jsonl", folder)
    lm = scripted_lm(role.answer, folder, num_retries=0)
    restore("answers.sql", lm.cache_folder / "answers.sqlite")
    job = Job(
        student=role.program(),
        trainset=role.examples("t", 6),
        valset=role.examples("v", 6),
        metric=role.metric,
        task_lm=lm,
        prompt_lm=lm,
        params=world.settings(miprov2={"racing": False}),  # as it was then
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
