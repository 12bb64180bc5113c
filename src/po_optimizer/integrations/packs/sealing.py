"""Sealing a run in a file, and repeating it elsewhere; either way without an LM.

A run is repeated by its own kept answers before it is sealed, which proves the pack.
"""

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from po_optimizer.errors import PoOptimizerError, listed
from po_optimizer.files import read_whole, write_whole
from po_optimizer.integrations.packs.answers import (
    AnswerMissing,
    GivenAnswers,
    open_stores,
)
from po_optimizer.integrations.packs.code import Code, FindCode, find_code
from po_optimizer.integrations.packs.other_metric import RankedCandidate, rank_again
from po_optimizer.integrations.packs.pack_file import (
    Manifest,
    Pack,
    read_pack,
    write_pack,
)
from po_optimizer.integrations.packs.repetition import Repetition, repeated
from po_optimizer.integrations.watch.state import WatchedRun, find_runs
from po_optimizer.lms.lm import use_lm
from po_optimizer.optimization.inputs import read_inputs
from po_optimizer.optimization.journal import Trial, read_journal
from po_optimizer.optimization.run_identity import changes
from po_optimizer.persistence import format as fmt
from po_optimizer.roles.metric import Metric
from po_optimizer.secret import environment_secrets

_PROGRAMS = (
    "program.json",
    "../candidate_program.json",
    "best_program_so_far.json",
)
"""Where the program of a run lies from its workspace: Python's, a project's, any."""


@dataclass(frozen=True)
class Replayed:
    """A run that was repeated.

    Attributes:
        program: The file of the program, the sealed one byte for byte.
        sha256: Of that file.
        optimizer: The optimizer's name.
        trials: Those of the search here.
        differences: What is different here from where the run was made, in words.
        n_paid: LM calls that were sent: 0.
        ranking: Its candidates under another metric; []: none was asked for.
        n_val: Examples of the valset that candidates were chosen on.
    """

    program: Path
    sha256: str
    optimizer: str
    trials: list[Trial]
    differences: list[str]
    n_paid: int
    ranking: list[RankedCandidate]
    n_val: int


def pack_run(
    run: str | Path,
    target: str | Path,
    *,
    code: Code | FindCode = find_code,
) -> Pack:
    """Seals the run in a file, once it was repeated with 0 LM calls and came out alike.

    Args:
        run: Its workspace, or a folder in which it is the only one.
        target: The file.
        code: Its program and metric; by itself it is the code of the role here.

    Raises:
        PoOptimizerError: It cannot be repeated, or a secret would stand in the file.
    """
    sole = _sole_run(Path(run))
    inputs = read_inputs(sole.workspace)
    code = code if isinstance(code, Code) else code(inputs)
    journal = sole.workspace / "trials.jsonl"
    trials, completed = read_journal(journal), journal.with_suffix(".complete").exists()
    documents = _documents(sole.workspace)
    used: dict[str, bytes] = {}
    missing: list[str] = []
    likely = (inputs.task_lm.cache_folder, inputs.prompt_lm.cache_folder)
    stores = open_stores(sole.ledgers(), likely)

    def answers_of(folder: Path) -> GivenAnswers:
        names = sorted(stores, key=lambda name: name != folder.name)
        return GivenAnswers(missing, used, [stores[name] for name in names])

    most = len(trials) + completed  # one more would be another run
    with repeated(inputs, code, answers_of, most) as repetition:
        manifest = Manifest(
            optimization_id=sole.optimization_id,
            completed=completed,
            fingerprint=repetition.fingerprint,
        )
        packs = [Pack(manifest, inputs, trials, used, d) for d in documents]
        problems = [repetition.problem(pack, code, missing) for pack in packs]
    if all(problems):
        raise PoOptimizerError(
            f"{sole.workspace} cannot be packed: repeated by its kept answers it is "
            f"another run: {problems[0]}. Its code or its answers have changed: run it "
            "again, then pack it."
        )
    pack = packs[problems.index("")]
    _check_secrets(pack)
    write_pack(Path(target), pack)
    return pack


def _sole_run(folder: Path) -> WatchedRun:
    runs = find_runs(folder)
    if len(runs) != 1:
        names = listed((run.name for run in runs), 30)
        problem = f"there are {names}: name one" if runs else "there is none"
        raise PoOptimizerError(
            f"RUN={str(folder)!r} is no folder of one optimization: {problem}. It is "
            "the folder that trials.jsonl lies in."
        )
    if runs[0].is_running():
        raise PoOptimizerError(f"{runs[0].workspace} is running: pack it at its end.")
    return runs[0]


def _documents(workspace: Path) -> list[bytes]:
    """The documents that may be its program's: a killed run leaves an older one."""
    documents = []
    for name in _PROGRAMS:
        with suppress(FileNotFoundError):
            documents.append(read_whole((workspace / name).resolve()))
    if documents:
        return documents
    raise PoOptimizerError(
        f"{workspace} holds no program yet: pack it when its baseline was evaluated."
    )


def _check_secrets(pack: Pack) -> None:
    """Refuses to write what a variable of this environment keeps secret.

    Nothing of the kind is collected: this is for what a prompt or an answer repeats.

    Raises:
        PoOptimizerError: A member holds a secret; the variable is named.
    """
    members = {
        "the inputs": pack.inputs.model_dump_json(),
        "the journal": "".join(trial.model_dump_json() for trial in pack.trials),
        "the program": pack.program.decode(),
        "the requests": "\n".join(pack.answers),
        "the answers": b"\n".join(pack.answers.values()).decode(),
    }
    for variable, secret in environment_secrets():
        spelled = (secret, json.dumps(secret)[1:-1])
        where = [n for n, text in members.items() if any(s in text for s in spelled)]
        if where:
            raise PoOptimizerError(
                f"the run cannot be packed: {listed(where)} hold the value of "
                f"{variable}. Take it out of records and prompts, and run again."
            )


def replay(
    file: str | Path,
    folder: str | Path,
    *,
    code: Code | FindCode = find_code,
    metric: Metric | None = None,
) -> Replayed:
    """Repeats a sealed run with 0 LM calls, and proves that it is the same one.

    Args:
        file: As `pack_run` wrote it.
        folder: Takes `program.json` and, with another metric, `ranking.json`.
        code: Its program and metric; by itself it is the code of the role here.
        metric: Another one, by which its candidates are ranked again.

    Raises:
        PoOptimizerError: The file cannot be used, or the run came out differently.
    """
    pack = read_pack(Path(file))
    code = code if isinstance(code, Code) else code(pack.inputs)
    missing: list[str] = []
    sealed = GivenAnswers(missing, pack.answers)
    most = len(pack.trials) + pack.manifest.completed
    with repeated(pack.inputs, code, lambda _folder: sealed, most) as repetition:
        differences = changes(pack.manifest.fingerprint, repetition.fingerprint)
        if problem := repetition.problem(pack, code, missing):
            others = f"Different here: {listed(differences, 30)}. " * bool(differences)
            raise PoOptimizerError(
                f"{file} was not repeated: {problem}. {others}No LM was asked and "
                "nothing is written. Install the versions and the code of then to "
                "repeat it."
            )
        ranking = _rank(repetition, metric) if metric else []
    target = Path(folder) / "program.json"
    write_whole(target, pack.program)
    if ranking:
        rows = ",\n".join(row.model_dump_json() for row in ranking)
        write_whole(target.with_name("ranking.json"), f"[\n{rows}\n]\n")
    return Replayed(
        program=target,
        sha256=fmt.sha256(pack.program),
        optimizer=pack.inputs.params.optimizer,
        trials=[event.trial for event in repetition.scored],
        differences=differences,
        n_paid=repetition.n_paid,
        ranking=ranking,
        n_val=len(repetition.valset),
    )


def _rank(repetition: Repetition, metric: Metric) -> list[RankedCandidate]:
    """The ranking; a metric that asks an LM is given what the run has asked."""
    try:
        with use_lm(repetition.job.task_lm, stage="replay"):
            return rank_again(repetition.scored, repetition.valset, metric)
    except AnswerMissing as error:
        raise PoOptimizerError(
            f"the other metric asks an LM what the run has not asked: {error} Name a "
            "metric that asks no LM."
        ) from error
