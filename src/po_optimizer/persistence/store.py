"""Saving a program and loading it again, at a path.

Save: encode, compare, stage, read back, publish. Until the last step nothing that a
reader sees has changed. What could be encoded is kept in a rescue file if it fails.
"""

import dataclasses
import functools
import json
import logging
import secrets
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_args

import dspy

from po_optimizer.errors import ArtifactError, SaveError, SettingError, refusal
from po_optimizer.files import Folder, LocalFolder, UnconfirmedError
from po_optimizer.persistence import format as fmt
from po_optimizer.persistence import snapshot
from po_optimizer.persistence.codec.imports import DEFAULT_ALLOWED, Imports
from po_optimizer.persistence.codec.modules import predictors
from po_optimizer.persistence.codec.values import FAILURES, Decoder, Encoder
from po_optimizer.persistence.components import (
    compare,
    decode,
    describe_missing,
    encode,
    encode_arguments,
    missing_parts,
    program_of,
    warn_of_missing,
)
from po_optimizer.persistence.scripted_call import (
    difference_of,
    probe_inputs,
    steady_calls,
)
from po_optimizer.persistence.verify import (
    CallData,
    Findings,
    Verifier,
    prepare_calls,
    read_back_inline,
)

logger = logging.getLogger(__name__)

DillMode = Literal["off", "write", "load"]
VerifyMode = Literal["process", "inline", "off"]
ReadBack = Callable[[Path, dict[str, str], Path | None], Findings]
"""Reads back a document and its snapshot; see `read_back_inline`."""


@dataclasses.dataclass(frozen=True)
class SavedProgram:
    """What a save published.

    Attributes:
        path: The document's path.
        digest: The sha256 of its content, as hex.
        n_predictors: Predictors in it, shared ones once.
        n_demos: Demos of all its predictors.
        snapshot: File name of the dill snapshot; None when there is none.
        snapshot_problem: Why there is none; None when there is one or none was wanted.
        not_compared: Why a call of the loaded program could not be compared with one of
            the program; None when it was, or was not asked for.
    """

    path: str
    digest: str
    n_predictors: int
    n_demos: int
    snapshot: str | None
    snapshot_problem: str | None
    not_compared: str | None = None

    @classmethod
    def of(cls, document: fmt.Document, path: str) -> "SavedProgram":
        """What is published under that path."""
        entry = document.get("snapshot", {})
        return cls(
            path=path,
            digest=document["digest"],
            n_predictors=document["n_predictors"],
            n_demos=document["n_demos"],
            snapshot=entry.get("file"),
            snapshot_problem=entry.get("missing"),
            not_compared=document.get("not_compared"),
        )


def save_program(
    program: dspy.Module,
    path: str | Path,
    *,
    dill: DillMode = "write",
    verify: VerifyMode = "process",
    arguments: Mapping[str, Any] | None = None,
) -> SavedProgram:
    """Store a program at a local path, whole or not at all.

    Args:
        program: Any DSPy program; it is not changed.
        path: The document's file; its folder is created.
        dill: "write" and "load" add a snapshot beside it; "off" does not.
        verify: Where the staged file is read back: in a fresh "process" (about
            1.5 s), "inline", or not at all ("off"). In a process the program is
            called, too, with a scripted LM: loaded, it must ask and give the same.
        arguments: What the program's constructor was called with, by name.

    Raises:
        SaveError: It could not be stored; what was there before still is.
        SettingError: `program` is no program.
    """
    if not isinstance(program, dspy.Module):
        kind = type(program).__name__
        raise SettingError(
            "program", kind, "it is no dspy.Module", "Give a program, as run.program."
        )
    path = Path(path).expanduser()
    folder = LocalFolder(path.parent)
    return save_to(folder, path.name, program, dill, verify, arguments=arguments)


def load_program(
    path: str | Path,
    *,
    program: dspy.Module | None = None,
    lms: Mapping[str, dspy.BaseLM] | None = None,
    dill: DillMode = "off",
    allowed_packages: Iterable[str] = DEFAULT_ALLOWED,
) -> dspy.Module:
    """The program stored at a local path.

    Args:
        path: The document's file.
        program: A new program of the same class: gives functions, tools, clients and
            LMs, which no document holds. It is not changed.
        lms: LMs that cannot be made again, by the attribute that holds them or by
            their model's name.
        dill: "load" prefers the snapshot, which runs the code in it: only for files
            you trust. Any other mode never reads it.
        allowed_packages: Packages whose classes may be imported, and exact names,
            `package.module:Class`, whose constructors may be called, too.

    Raises:
        ArtifactError: It is missing, altered, unsafe or from a later version.
    """
    path = Path(path).expanduser()
    folder = LocalFolder(path.parent)
    return load_from(
        folder, path.name, dill, allowed_packages, program=program, lms=lms
    )


def save_to(
    folder: Folder,
    name: str,
    program: dspy.Module,
    dill: DillMode = "write",
    verify: VerifyMode = "process",
    *,
    arguments: Mapping[str, Any] | None = None,
    donor: dspy.Module | None = None,
) -> SavedProgram:
    """Store a program under a name in a folder; see `save_program`.

    A donor, a new program of the class, will give code when it is loaded: with one,
    nothing of the program may be missing.

    Raises:
        SaveError: It could not be stored; what was there before still is.
    """
    check_modes(dill, verify)
    with ExitStack() as stack:
        read_back: ReadBack | None = None if verify == "off" else read_back_inline
        if verify == "process":
            verifier = Verifier()  # it starts while the program is encoded
            stack.callback(verifier.close)
        try:
            encoder = Encoder()
            document = encode(encoder, program, arguments)
            compare(document, encoder)
            loaded = None if donor is None else _load_with(donor, document)
            if verify == "process":
                calls = _compare_calls(program, loaded, document, encoder)
                read_back = functools.partial(verifier.read_back, calls=calls)
            data = None if dill == "off" else _snapshot_of(program)
            saved = _publish(folder, name, document, data, read_back)
        except FAILURES as error:
            problem = getattr(error, "problem", str(error))
            if isinstance(error, OSError):
                problem = refusal(error)
            done = isinstance(error, UnconfirmedError) and error.name == name
            rescue = _rescue(folder, name, program)
            where = folder.address(name)
            raise SaveError(where, problem, rescue, in_place=done) from error
    tidy(folder, name)
    return saved


def _load_with(donor: dspy.Module, document: fmt.Document) -> dspy.Module:
    """The program of the document, with the donor's code."""
    loaded = program_of(document, "", donor)
    if missing := missing_parts(loaded):
        problem = f"the role's own program does not give {describe_missing(missing)}"
        raise SaveError("memory", problem)
    return loaded


def _compare_calls(
    program: dspy.Module,
    loaded: dspy.Module | None,
    document: fmt.Document,
    encoder: Encoder,
) -> CallData | None:
    """Calls for the process, if those of the loaded program are the same here.

    If they cannot be compared, the document says why.
    """
    try:
        calls = steady_calls(program, probe_inputs(program))
        if loaded is None:
            decoder = Decoder(Imports((), encoder.classes), document["types"])
            loaded = decode(document, decoder)
        if difference := difference_of(loaded, calls):
            raise SaveError("memory", f"loaded, {difference}")
        return prepare_calls(program, calls, encoder.classes)
    except ValueError as error:
        document["not_compared"] = str(error)
        return None


def _snapshot_of(program: dspy.Module) -> bytes | str:
    """The snapshot, or why there is none."""
    try:
        return snapshot.dumps(program)
    except snapshot.CANNOT_PICKLE as error:
        return f"{type(error).__name__}: {error!s:.300}"


def _publish(
    folder: Folder,
    name: str,
    document: fmt.Document,
    data: bytes | str | None,
    read_back: ReadBack | None,
) -> SavedProgram:
    """Stages what is stored, reads it back and gives it its names.

    A snapshot that does not load is left out, and all is staged again.
    """
    where, files = folder.address(name), dict[str, bytes]()
    if isinstance(data, str):
        logger.warning("%s: no snapshot: %s", where, data)
    if data is not None:
        entry = snapshot.describe(PurePosixPath(name).stem, data)
        document["snapshot"] = entry
        files = {entry["file"]: data} if isinstance(data, bytes) else {}
    sealed, content = fmt.sealed_bytes(document)
    with ExitStack() as stack:
        staged = []
        for file_name, stored in {name: content, **files}.items():
            staged.append(folder.stage(file_name, stored, name))  # as private as it
            stack.callback(staged[-1].discard)
        findings = Findings()
        if read_back is not None:
            paths = [stack.enter_context(file.local_copy()) for file in staged]
            findings = read_back(
                paths[0], document["fingerprint"], [*paths[1:], None][0]
            )
        if findings.problem:
            raise SaveError(where, findings.problem)
        if not (findings.snapshot_problem or findings.not_compared):
            for file in reversed(staged):  # a document never names what is not there
                file.commit()
            return SavedProgram.of(sealed, where)
    if findings.not_compared:
        document["not_compared"] = findings.not_compared
    data = findings.snapshot_problem or data
    return _publish(folder, name, document, data, read_back_inline)


def _rescue(folder: Folder, name: str, program: dspy.Module) -> str:
    """What could be encoded, beside the target or in the temporary folder."""
    rescue = f"{name}.{secrets.token_hex(4)}.rescue.json"
    try:
        data = fmt.file_bytes(encode(Encoder(rescue=True), program))
    except FAILURES as error:
        logger.warning("the rescue file holds texts only: %s", error)
        data = _texts_of(program)
    for place in (folder, LocalFolder(Path(tempfile.gettempdir()))):
        try:
            place.stage(rescue, data, name).commit()
        except OSError as error:
            logger.warning("no rescue file in %s: %s", place.address(""), error)
        else:
            return f"What could be encoded is in {place.address(rescue)}"
    return "No rescue file could be written."


def _texts_of(program: dspy.Module) -> bytes:
    """Every instruction and demo as text, for a rescue that can hold no more."""
    texts = {
        where: {
            "instructions": predictor.signature.instructions,
            "demos": [{k: repr(v) for k, v in d.items()} for d in predictor.demos],
        }
        for where, predictor in predictors(program).items()
    }
    return json.dumps({"rescued_texts": texts}, indent=1).encode()


def check_modes(dill: str, verify: str) -> None:
    """Refuse modes that do not exist."""
    for setting, value, mode in (
        ("dill", dill, DillMode),
        ("verify", verify, VerifyMode),
    ):
        if value not in get_args(mode):
            choice = f"it is one of {', '.join(get_args(mode))}"
            raise SettingError(setting, value, choice, "Correct the catalog entry.")


def is_stored(
    folder: Folder,
    name: str,
    program: dspy.Module,
    arguments: Mapping[str, Any] | None = None,
) -> bool:
    """True if the document holds this program with this provenance."""
    try:
        stored = fmt.read(folder, name)
        document = encode(Encoder(), program, arguments)
    except FAILURES:
        return False
    parts = fmt.lasting({name: stored.get(name) for name in document})
    return parts == fmt.lasting(document)


def tidy(folder: Folder, name: str) -> None:
    """Removes what killed saves of a document left in its folder.

    Staged files, snapshots that no document names, and the folder when nothing else is
    in it. While another save is under way its snapshot is not named yet, but its
    document is staged: so the names are listed first, and nothing is removed then.
    """
    with suppress(OSError):
        names = folder.names()
        if folder.tidy():
            return
        for snapshot_name in snapshot.unnamed(folder, name, names):
            folder.remove(snapshot_name)
        folder.remove_if_empty()


def load_from(
    folder: Folder,
    name: str,
    dill: DillMode,
    allowed_packages: Iterable[str],
    *,
    program: dspy.Module | None = None,
    lms: Mapping[str, Any] | None = None,
    arguments: Mapping[str, Any] | None = None,
) -> dspy.Module:
    """The program published under that name; see `load_program`."""
    check_modes(dill, "off")
    where = folder.address(name)
    document = fmt.read(folder, name)
    if arguments is not None:
        _check_arguments(document["arguments"], program, arguments, where)
    if dill == "load":
        try:
            loaded = snapshot.load(folder, document)
        except snapshot.UnusableSnapshotError as error:
            logger.warning("%s: components used, not the snapshot: %s", where, error)
        else:
            warn_of_missing(where, missing_parts(loaded))
            return loaded
    return program_of(document, where, program, allowed_packages, lms)


def _check_arguments(
    recorded: dict[str, Any], program: Any, arguments: Mapping[str, Any], where: str
) -> None:
    """Refuses a donor that was made otherwise: code of the one, data of the other."""
    given = encode_arguments(program, arguments)["known"]
    if recorded["known"] != given and not recorded["unknown"]:
        raise ArtifactError(
            f"path={where!r}: the program was made with {recorded['known']}, now "
            f"program_args are {given}. Set them as they were, or optimize again."
        )
