"""A run in one zip file: what is in it, how it is written, how it is read.

The file may come from anywhere. Its members are known by name, of bounded size, read
into memory and checked by digest; none is extracted, unpickled or imported.
"""

import io
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile, ZipInfo

import orjson
from pydantic import Field, ValidationError

from po_optimizer.errors import ArtifactError, field_problems
from po_optimizer.files import write_whole
from po_optimizer.files.atomic import open_plain
from po_optimizer.optimization.inputs import RunInputs
from po_optimizer.optimization.journal import Trial
from po_optimizer.params.base import Frozen
from po_optimizer.persistence import format as fmt

FORMAT = "po_optimizer.run"
FORMAT_VERSION = 1
MAX_BYTES = 2**28  # of all members, unpacked
_MANIFEST = "manifest.json"
_MEMBERS = ("answers.jsonl", "inputs.json", "program.json", "trials.jsonl")
_END = struct.Struct("<4s4H2LH")  # of a zip file without a comment
_ZIP64 = 20  # bytes before that end, which a file of this size has no need of
_DIRECTORY_BYTES = 4096
_OWNERS_ALONE = 0o100600 << 16  # the mode of what a tool extracts
_NO_TIME = (1980, 1, 1, 0, 0, 0)  # the same run gives the same bytes
_DAMAGED = (
    *(BadZipFile, zlib.error, struct.error, EOFError, ValueError, RuntimeError),
    *(NotImplementedError, LookupError, TypeError, OverflowError, RecursionError),
)


class Manifest(Frozen):
    """What is known of the run without its other members.

    Args:
        optimization_id: What all restarts of the run share.
        completed: It came to its end; otherwise a budget or a person ended it.
        fingerprint: What its result depends on, versions and digests of the data, too.
        sha256: Of each other member.
    """

    format: Literal["po_optimizer.run"] = "po_optimizer.run"
    format_version: Literal[1] = 1
    optimization_id: str
    completed: bool
    fingerprint: dict[str, str]
    sha256: dict[str, str] = Field(default_factory=dict)


@dataclass(frozen=True)
class Pack:
    """A run as data.

    Attributes:
        inputs: What it was made of, its examples too.
        trials: Its journal.
        answers: By the request that was asked, both as JSON.
        program: The document of the program that it found.
    """

    manifest: Manifest
    inputs: RunInputs
    trials: list[Trial]
    answers: dict[str, bytes]
    program: bytes


def write_pack(path: Path, pack: Pack) -> None:
    """Writes the file whole or not at all.

    Raises:
        ArtifactError: It is too large.
        OSError: The disk refused it.
    """
    lines = (b"[%s,%s]\n" % (k.encode(), v) for k, v in sorted(pack.answers.items()))
    trials = (trial.model_dump_json(exclude_defaults=True) for trial in pack.trials)
    contents = {
        "answers.jsonl": b"".join(lines),
        "inputs.json": pack.inputs.model_dump_json().encode(),
        "program.json": pack.program,
        "trials.jsonl": "".join(f"{trial}\n" for trial in trials).encode(),
    }
    n_bytes = sum(map(len, contents.values()))
    if n_bytes > MAX_BYTES:
        raise ArtifactError(
            f"the run cannot be packed: it has {n_bytes:,} bytes, over the "
            f"{MAX_BYTES:,} that are read."
        )
    sha256 = {name: fmt.sha256(content) for name, content in contents.items()}
    manifest = pack.manifest.model_copy(update={"sha256": sha256})
    contents = {_MANIFEST: fmt.file_bytes(manifest.model_dump()), **contents}
    data = io.BytesIO()
    with ZipFile(data, "w", ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            info = ZipInfo(name, _NO_TIME)
            info.compress_type, info.external_attr = ZIP_DEFLATED, _OWNERS_ALONE
            archive.writestr(info, content)
    write_whole(path, data.getvalue())


def read_pack(path: Path) -> Pack:
    """The run in the file, once all of it is checked.

    Raises:
        ArtifactError: It is missing, altered, cut, too large, of a later format, or no
            such file.
    """
    try:
        with open_plain(path, MAX_BYTES) as file:
            contents = _contents(file)
        manifest = _manifest(contents, str(path))
        lines = contents["trials.jsonl"].splitlines()
        return Pack(
            manifest,
            inputs=RunInputs.model_validate_json(contents["inputs.json"]),
            trials=[Trial.model_validate_json(line) for line in lines],
            answers=dict(map(_answer, contents["answers.jsonl"].splitlines())),
            program=contents["program.json"],
        )
    except OSError as error:
        problem = error.strerror or str(error)
        raise ArtifactError(f"{path} cannot be read: {problem}.") from error
    except _DAMAGED as error:
        problem = str(error) or type(error).__name__
        if isinstance(error, ValidationError):
            problem = field_problems(error)[0]
        raise ArtifactError(
            f"{path} is no run as `po-optimizer pack` sealed it: {problem:.200}. Get "
            "the file again, or pack the run again."
        ) from error


def _contents(file: BinaryIO) -> dict[str, bytes]:
    """The bytes of each member; the directory is bounded before it is read."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - _END.size - _ZIP64))
    tail = file.read()
    end = tail[-_END.size :].rjust(_END.size, b"\0")
    mark, *_, n_members, n_bytes, _, _ = _END.unpack(end)
    if mark != b"PK\5\6" or tail[:4] == b"PK\6\7":
        raise BadZipFile("it is cut, or no zip file")
    if n_members != len(_MEMBERS) + 1 or n_bytes > _DIRECTORY_BYTES:
        raise BadZipFile(f"it has {n_members} members")
    with ZipFile(file) as archive:
        members = archive.infolist()
        names = sorted(member.filename for member in members)
        if names != sorted([_MANIFEST, *_MEMBERS]):
            raise BadZipFile(f"its members are {names!r}")
        if {member.compress_type for member in members} != {ZIP_DEFLATED}:
            raise BadZipFile("a member is packed in another way")
        if sum(member.file_size for member in members) > MAX_BYTES:
            raise BadZipFile(f"its members have over {MAX_BYTES:,} bytes")
        return {member.filename: archive.read(member) for member in members}


def _manifest(contents: dict[str, bytes], where: str) -> Manifest:
    document = orjson.loads(contents.pop(_MANIFEST))
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ValueError(f"its format is not {FORMAT!r}")
    version = document.get("format_version")
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise ArtifactError(
            f"{where} has format_version={version}; this version reads up to "
            f"{FORMAT_VERSION}. Upgrade: pip install -U po-optimizer"
        )
    if fmt.seal(document)["digest"] != document.pop("digest", None):
        raise ValueError("the digest of its manifest does not match")
    manifest = Manifest.model_validate(document)
    for name, content in contents.items():
        if fmt.sha256(content) != manifest.sha256.get(name):
            raise ValueError(f"{name} was altered: its digest does not match")
    return manifest


def _answer(line: bytes) -> tuple[str, bytes]:
    request, answer = orjson.loads(line)
    return canonical(request), orjson.dumps(answer)


def canonical(value: Any) -> str:
    """JSON that is the same for equal values."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
