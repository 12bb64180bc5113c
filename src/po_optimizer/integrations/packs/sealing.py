"""Sealing a run: repeated by its own kept answers first, which proves the pack."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from po_optimizer.errors import PoOptimizerError, listed
from po_optimizer.files import read_whole
from po_optimizer.integrations.packs.answers import CollectedAnswers, open_stores
from po_optimizer.integrations.packs.code import Code, FindCode, find_code
from po_optimizer.integrations.packs.pack_file import Manifest, Pack, write_pack
from po_optimizer.integrations.packs.repetition import repeated
from po_optimizer.integrations.watch.state import WatchedRun, find_runs
from po_optimizer.optimization import read_journal
from po_optimizer.optimization.inputs import read_inputs

_PROGRAMS = (
    "program.json",
    "../candidate_program.json",
    "best_program_so_far.json",
)
"""Where the program of a run lies from its workspace: Python's, a project's, any."""
_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL", re.IGNORECASE)
_PASSWORD = re.compile(r"://[^/@\s:]*:([^/@\s]+)@")
_SHORTEST_SECRET, _LONGEST_WORD = 8, 16  # characters


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
    found = _sole_run(Path(run))
    if found.is_running():
        raise PoOptimizerError(f"{found.workspace} is running: pack it at its end.")
    inputs = read_inputs(found.workspace)
    code = code if isinstance(code, Code) else code(inputs)
    journal = found.workspace / "trials.jsonl"
    trials, completed = read_journal(journal), journal.with_suffix(".complete").exists()
    documents = _documents(found.workspace)
    used: dict[str, bytes] = {}
    missing: list[str] = []
    likely = (inputs.task_lm.cache_folder, inputs.prompt_lm.cache_folder)
    stores = open_stores(found.ledgers(), likely)
    answers = partial(CollectedAnswers, stores=stores, used=used, missing=missing)
    most = len(trials) + completed  # one more would be another run
    with repeated(inputs, code, answers, most) as repetition:
        manifest = Manifest(
            optimization_id=found.optimization_id,
            completed=completed,
            fingerprint=repetition.fingerprint,
        )
        packs = [Pack(manifest, inputs, trials, used, d) for d in documents]
        problems = [repetition.problem(pack, code, missing) for pack in packs]
    if all(problems):
        raise PoOptimizerError(
            f"{found.workspace} cannot be packed: repeated by its kept answers it is "
            f"another run: {problems[0]}. Its code or its answers have changed: run it "
            "again, then pack it."
        )
    pack = packs[problems.index("")]
    _check_secrets(pack)
    write_pack(Path(target), pack)
    return pack


def _sole_run(folder: Path) -> WatchedRun:
    runs = find_runs(folder)
    if len(runs) == 1:
        return runs[0]
    names = listed((run.name for run in runs), 30)
    problem = f"there are {names}: name one" if runs else "there is none"
    raise PoOptimizerError(
        f"RUN={str(folder)!r} is no folder of one optimization: {problem}. It is the "
        "folder that trials.jsonl lies in."
    )


def _documents(workspace: Path) -> list[bytes]:
    """Those that may be of its program: a killed run leaves an earlier one's behind."""
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
    for variable, secret in _secrets():
        spelled = (secret, json.dumps(secret)[1:-1])
        where = [n for n, text in members.items() if any(s in text for s in spelled)]
        if where:
            raise PoOptimizerError(
                f"the run cannot be packed: {listed(where)} hold the value of "
                f"{variable}. Take it out of records and prompts, and run again."
            )


def _secrets() -> Iterator[tuple[str, str]]:
    """Names and values of the environment: keys, and passwords in addresses."""
    for name, value in os.environ.items():
        secrets = _PASSWORD.findall(value) + [value] * bool(_SECRET.search(name))
        yield from ((name, s) for s in secrets if _is_no_word(s))


def _is_no_word(secret: str) -> bool:
    """False of what stands for a key where none is needed: "ollama", "EMPTY"."""
    long = len(secret) >= _SHORTEST_SECRET
    return long and (len(secret) >= _LONGEST_WORD or any(map(str.isdigit, secret)))
