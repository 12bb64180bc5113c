"""Saving a program and loading it again, at a path.

Save: encode, compare, stage, read back, publish. Until the last step nothing that a
reader sees has changed. What could be encoded is kept in a rescue file if it fails.
"""

import dataclasses
import json
import logging
import re
import secrets
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import dspy

from po_optimizer.errors import ArtifactError, SaveError, SettingError, refusal
from po_optimizer.files import Folder, LocalFolder, UnconfirmedError
from po_optimizer.files.folders import StagedFile
from po_optimizer.persistence import format as fmt
from po_optimizer.persistence import snapshot
from po_optimizer.persistence.codec.arguments import encode_arguments
from po_optimizer.persistence.codec.imports import DEFAULT_ALLOWED, Imports
from po_optimizer.persistence.codec.modules import PROVENANCE, predictors
from po_optimizer.persistence.codec.values import Decoder, Encoder
from po_optimizer.persistence.components import (
    MISSING_MESSAGE,
    compare,
    decode,
    describe_missing,
    encode,
    missing_parts,
    program_of,
)
from po_optimizer.persistence.prompts import fingerprint
from po_optimizer.persistence.reading import read_document
from po_optimizer.persistence.scripted_call import (
    MAX_PROBES,
    Inputs,
    difference_of,
    probe_inputs,
    steady_outcome,
)
from po_optimizer.persistence.verify import (
    Call,
    Findings,
    Verifier,
    prepare_calls,
    read_back_inline,
)

logger = logging.getLogger(__name__)

_FAILURES = (  # of ours, of the disk, and of a program's own serializers
    *(ArtifactError, OSError, TypeError, ValueError, LookupError, AttributeError),
    *(RuntimeError, ArithmeticError),
)

DillMode = Literal["off", "write", "load"]
VerifyMode = Literal["process", "inline", "off"]


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


def save_program(
    program: dspy.Module,
    path: str | Path,
    *,
    dill: DillMode = "write",
    verify: VerifyMode = "process",
    arguments: Mapping[str, Any] | None = None,
    probes: Iterable[Inputs] | None = None,
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
        probes: Up to three inputs for these calls; if none are given, they are taken
            from the demos or made by type.

    Raises:
        SaveError: It could not be stored; what was there before still is.
    """
    path = Path(path)
    folder = LocalFolder(path.parent)
    saving = Saving(folder, path.name, dill, verify, arguments=arguments, probes=probes)
    return saving.save(program)


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
    path = Path(path)
    folder = LocalFolder(path.parent)
    return load_from(
        folder, path.name, dill, allowed_packages, program=program, lms=lms
    )


class Saving:
    """One save of one program to one place.

    Args:
        folder: Where it is published.
        name: The document's file name there.
        dill: Whether a snapshot is added.
        verify: Where the staged files are read back.
        arguments: What the program's constructor was called with; None if unknown.
        probes: Inputs for scripted calls; None to make them.
        donor: A new program of the class, which will give code when it is loaded:
            then nothing of the program may be missing.
    """

    def __init__(
        self,
        folder: Folder,
        name: str,
        dill: DillMode,
        verify: VerifyMode,
        *,
        arguments: Mapping[str, Any] | None = None,
        probes: Iterable[Inputs] | None = None,
        donor: dspy.Module | None = None,
    ) -> None:
        check_modes(dill, verify)
        self.folder = folder
        self.name = name
        self.dill = dill
        self.verify = verify
        self.arguments = arguments
        self.probes = probes
        self.donor = donor

    def save(self, program: dspy.Module) -> SavedProgram:
        """Store the program.

        Raises:
            SaveError: It could not be stored; what was there before still is.
        """
        with ExitStack() as stack:
            verifier = self._verifier(stack)
            try:
                encoder = Encoder()
                document = encode(encoder, program, self.arguments)
                compare(document, encoder)
                document, calls = self._compare_calls(program, document, encoder)
                data = self._snapshot_bytes(program)
                saved = self._publish(document, data, calls, verifier, stack)
            except _FAILURES as error:
                rescue = self._rescue(program)
                problem = getattr(error, "problem", str(error))
                if isinstance(error, OSError):
                    problem = refusal(error)
                done = isinstance(error, UnconfirmedError) and error.name == self.name
                where = self.folder.shown(self.name)
                raise SaveError(where, problem, rescue, in_place=done) from error
        tidy(self.folder, self.name)
        return saved

    def _verifier(self, stack: ExitStack) -> Verifier | None:
        if self.verify != "process":
            return None
        verifier = Verifier()
        stack.callback(verifier.close)
        return verifier

    def _compare_calls(
        self, program: dspy.Module, document: fmt.Document, encoder: Encoder
    ) -> tuple[fmt.Document, list[Call]]:
        """The document with why calls were not compared, and calls for the process.

        Raises:
            SaveError: Loaded, the program acts differently, or lacks a part.
        """
        loaded = None if self.donor is None else self._with_donor(document)
        if self.verify != "process":
            return document, []
        try:
            probes = probe_inputs(program) if self.probes is None else [*self.probes]
            probes = probes[:MAX_PROBES]
            outcomes = [steady_outcome(program, inputs) for inputs in probes]
            if loaded is None:
                decoder = Decoder(Imports((), encoder.classes), document["types"])
                loaded = decode(document, decoder)
            difference = difference_of(loaded, probes, outcomes)
            if difference:
                raise SaveError(self.folder.shown(self.name), f"loaded, {difference}")
            return document, prepare_calls(program, probes, outcomes, encoder.classes)
        except ValueError as error:
            return {**document, "not_compared": str(error)}, []

    def _with_donor(self, document: fmt.Document) -> dspy.Module:
        """The program as every stage will load it, which may lack nothing.

        Raises:
            SaveError: It does.
        """
        loaded = program_of(document, self.name, self.donor)
        missing = missing_parts(loaded)
        if missing:
            problem = (
                f"the role's own program does not give {describe_missing(missing)}"
            )
            raise SaveError(self.folder.shown(self.name), problem)
        return loaded

    def _snapshot_bytes(self, program: dspy.Module) -> bytes | str | None:
        """The snapshot, or why there is none, or None when none is wanted."""
        if self.dill == "off":
            return None
        try:
            return snapshot.dumps(program)
        except snapshot.CANNOT_PICKLE as error:
            return f"{type(error).__name__}: {error!s:.300}"

    def _publish(
        self,
        document: fmt.Document,
        data: bytes | str | None,
        calls: list[Call],
        verifier: Verifier | None,
        stack: ExitStack,
    ) -> SavedProgram:
        entry: dict[str, Any] | None = None
        if isinstance(data, bytes):
            entry = snapshot.entry(PurePosixPath(self.name).stem, data)
        elif data is not None:
            entry = {"missing": data}
            logger.warning("%s: no snapshot: %s", self.folder.shown(self.name), data)
        document = fmt.seal({**document, **({"snapshot": entry} if entry else {})})
        staged = self._stage(self.name, fmt.file_bytes(document), stack)
        staged_snapshot = None
        if isinstance(data, bytes) and entry:
            # as private as the document that it belongs to
            staged_snapshot = self._stage(entry["file"], data, stack, self.name)
        findings = self._read_back(document, staged, staged_snapshot, calls, verifier)
        if findings.problem:
            raise SaveError(self.folder.shown(self.name), findings.problem)
        if findings.snapshot_problem or findings.not_compared:
            if findings.not_compared:
                document["not_compared"], calls = findings.not_compared, []
            data = findings.snapshot_problem or data
            return self._publish(document, data, calls, self._verifier(stack), stack)
        if staged_snapshot:
            staged_snapshot.commit()
        staged.commit()
        return self._saved(document, entry)

    def _stage(
        self, name: str, data: bytes, stack: ExitStack, like: str | None = None
    ) -> StagedFile:
        staged = self.folder.stage(name, data, like)
        stack.callback(staged.discard)
        return staged

    def _read_back(
        self,
        document: fmt.Document,
        staged: StagedFile,
        staged_snapshot: StagedFile | None,
        calls: list[Call],
        verifier: Verifier | None,
    ) -> Findings:
        if self.verify == "off":
            return Findings()
        with ExitStack() as stack:
            path = stack.enter_context(staged.local_copy())
            other = None
            if staged_snapshot:
                other = stack.enter_context(staged_snapshot.local_copy())
            if verifier is None:
                return read_back_inline(path, document["fingerprint"], other)
            return verifier.read_back(path, document["fingerprint"], other, calls)

    def _rescue(self, program: dspy.Module) -> str:
        """What could be encoded, beside the target or in the temporary folder."""
        name = f"{self.name}.{secrets.token_hex(4)}.rescue.json"
        try:
            data = fmt.file_bytes(encode(Encoder(rescue=True), program))
        except _FAILURES as error:
            logger.warning("the rescue file holds texts only: %s", error)
            data = _texts_of(program)
        for folder in (self.folder, LocalFolder(Path(tempfile.gettempdir()))):
            try:
                folder.stage(name, data, self.name).commit()
            except OSError as error:
                logger.warning("no rescue file in %s: %s", folder.shown(""), error)
            else:
                return f"What could be encoded is in {folder.shown(name)}"
        return "No rescue file could be written."

    def _saved(
        self, document: fmt.Document, entry: dict[str, Any] | None
    ) -> SavedProgram:
        entry = entry or {}
        return SavedProgram(
            path=self.folder.shown(self.name),
            digest=document["digest"],
            n_predictors=document["n_predictors"],
            n_demos=document["n_demos"],
            snapshot=entry.get("file"),
            snapshot_problem=entry.get("missing"),
            not_compared=document.get("not_compared"),
        )


def _texts_of(program: dspy.Module) -> bytes:
    """Every instruction and demo as text: what a rescue holds when nothing else can."""
    texts = {
        where: {
            "instructions": predictor.signature.instructions,
            "demos": [{k: repr(v) for k, v in d.items()} for d in predictor.demos],
        }
        for where, predictor in predictors(program).items()
    }
    return json.dumps({"rescued_texts": texts}, indent=1).encode()


def check_modes(dill: str, verify: str) -> None:
    """Refuse modes that do not exist.

    Raises:
        SettingError: One of them does not.
    """
    allowed = {"dill": ("off", "write", "load"), "verify": ("process", "inline", "off")}
    for setting, value in (("dill", dill), ("verify", verify)):
        if value not in allowed[setting]:
            choice = f"it is one of {', '.join(allowed[setting])}"
            raise SettingError(setting, value, choice, "Correct the catalog entry.")


def is_snapshot_name(name: Any) -> bool:
    """True for a plain file name with our ending: a document never leads elsewhere."""
    return (
        isinstance(name, str)
        and name.endswith(".dill")
        and not any(c in name for c in "/\\\0")
        and not name.startswith(".")
    )


def is_stored(
    folder: Folder,
    name: str,
    program: dspy.Module,
    arguments: Mapping[str, Any] | None = None,
) -> bool:
    """True when the document is this program, come about in the same way."""
    try:
        stored = fmt.parse(read_document(folder, name), folder.shown(name))
        document = encode(Encoder(), program, arguments)
    except _FAILURES:
        return False
    same: bool = _lasting(document) == _lasting({k: stored.get(k) for k in document})
    return same


def _lasting(node: Any) -> Any:
    """A document without what DSPy draws anew for each predictor that it makes."""
    if isinstance(node, list):
        return [_lasting(item) for item in node]
    if not isinstance(node, dict):
        return node
    drawn = {"stage"} if "signature" in node else {"digest"}
    return {key: _lasting(value) for key, value in node.items() if key not in drawn}


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
        for snapshot_name in _unnamed_snapshots(folder, name, names):
            folder.remove(snapshot_name)
        folder.remove_if_empty()


def _unnamed_snapshots(folder: Folder, name: str, names: list[str]) -> list[str]:
    """Snapshots that we wrote and no document in the folder refers to.

    Ours are named by the hash of their content: a file of another origin is none.
    """
    stem, suffix = PurePosixPath(name).stem, PurePosixPath(name).suffix
    pattern = re.compile(re.escape(stem) + r"-([0-9a-f]{16})\.dill")
    snapshots = {n: match[1] for n in names if (match := pattern.fullmatch(n))}
    for document in (n for n in names if n.endswith(suffix) and n not in snapshots):
        if not snapshots:
            return []
        try:
            data = folder.read(document, fmt.MAX_BYTES) or b""
        except IsADirectoryError:
            continue
        except OSError:
            return []  # it may name them
        snapshots = {n: d for n, d in snapshots.items() if n.encode() not in data}
    return [
        snapshot_name
        for snapshot_name, digest in snapshots.items()
        if fmt.sha256(folder.read(snapshot_name, snapshot.MAX_BYTES) or b"").startswith(
            digest
        )
    ]


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
    """The program published under that name; see `load_program`.

    Raises:
        DamagedArtifactError: Nothing is there, or it is not what was saved.
        ArtifactError: It could not be read.
    """
    check_modes(dill, "off")
    where = folder.shown(name)
    document = fmt.parse(read_document(folder, name), where)
    if arguments is not None:
        _check_arguments(document["arguments"], program, arguments, where)
    if dill == "load":
        loaded = _from_snapshot(folder, document, where)
        if loaded is not None:
            missing = missing_parts(loaded)
            if missing:
                logger.warning(MISSING_MESSAGE, where, describe_missing(missing))
            return loaded
    return program_of(document, where, program, allowed_packages, lms)


def _check_arguments(
    recorded: dict[str, Any], program: Any, arguments: Mapping[str, Any], where: str
) -> None:
    """Refuses a donor that was made in another way than the stored program.

    Raises:
        ArtifactError: It was: code of the one would meet data of the other.
    """
    given = encode_arguments(program, arguments)["known"]
    if recorded["known"] != given and not recorded["unknown"]:
        msg = (
            f"path={where!r}: the program was made with {recorded['known']}, now "
            f"program_args are {given}. Set them as they were, or optimize again."
        )
        raise ArtifactError(msg)


def _from_snapshot(
    folder: Folder, document: fmt.Document, where: str
) -> dspy.Module | None:
    """The snapshot's program, or None with the reason in the log."""
    entry = document.get("snapshot") or {"missing": "it was saved without"}
    name = entry.get("file")
    problem, data = None, None
    try:
        if is_snapshot_name(name):
            data = folder.read(str(name), snapshot.MAX_BYTES)
    except OSError as error:
        problem = refusal(error)
    problem = problem or snapshot.problem_of(entry, data)
    loaded: Any = None
    if problem is None and data is not None:
        try:
            loaded = snapshot.loads(data)
        except snapshot.CANNOT_UNPICKLE as error:
            problem = f"{type(error).__name__}: {error}"
        else:
            if fingerprint(loaded) != document["fingerprint"]:
                problem = "it renders other prompts than the document"
    if problem is not None:
        logger.warning("%s: components used, not the snapshot: %s", where, problem)
        return None
    if document.get("provenance"):
        vars(loaded)[PROVENANCE] = document["provenance"]
    return loaded
