"""The promoted program: the one of the stored versions that `champion.json` names."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import dspy

from po_optimizer.errors import ArtifactError, DamagedArtifactError
from po_optimizer.files import Folder, LocalFolder
from po_optimizer.persistence import format as fmt
from po_optimizer.persistence.codec.imports import DEFAULT_ALLOWED
from po_optimizer.persistence.components import inspect_program
from po_optimizer.persistence.prompts import prompt_hashes
from po_optimizer.persistence.store import load_from

PROGRAM = "program.json"
_DECISION = "promotion.json"  # of versions before there was a champion.json


def load_promoted(
    role: str,
    lm: str,
    *,
    data: str | Path = "data",
    program: dspy.Module | None = None,
    lms: Mapping[str, dspy.BaseLM] | None = None,
    allowed_packages: Iterable[str] = DEFAULT_ALLOWED,
) -> dspy.Module:
    """The program that is promoted for a role on an LM.

    Args:
        role: Its name, the folder in 06_models.
        lm: Folder in the role's: provider and model, e.g. "ollama-mistral-7b-instruct".
        data: The project's data folder.
        program: As in `load_program`: a new program of the same class.
        lms: As in `load_program`.
        allowed_packages: As in `load_program`.

    Raises:
        ArtifactError: None is promoted, or it is missing, altered, unsafe or from a
            later version.
    """
    reporting = LocalFolder(Path(data) / "08_reporting" / role / lm)
    programs = LocalFolder(Path(data) / "06_models" / role / lm / PROGRAM)
    fingerprint = promoted_fingerprint(reporting)
    if fingerprint is None:
        raise ArtifactError(
            f"no program is promoted for the role {role!r} on {lm!r}: "
            f"{reporting.address(fmt.CHAMPION)} names none. Promote one: kedro run, or "
            "po-optimizer runs promote."
        )
    version = find_version(programs, PROGRAM, fingerprint)
    return load_from(
        programs.child(version),
        PROGRAM,
        "off",
        allowed_packages,
        program=program,
        lms=lms,
    )


def promoted_fingerprint(reporting: Folder) -> dict[str, str] | None:
    """The fingerprint that an LM's folder of reports promotes; None: none is."""
    champion = _read(reporting, fmt.CHAMPION)
    if champion is not None:
        return champion.get("program")
    decision = _read(reporting, _DECISION) or {}
    return decision.get("program") if decision.get("decision") == "promote" else None


def find_version(programs: Folder, name: str, fingerprint: Mapping[str, str]) -> str:
    """The newest version of a program that has this fingerprint.

    `programs` has a folder for each version, in which the document has that name.
    """
    for version in reversed(programs.names()):
        document = _read(programs.child(version), name)
        if document is not None and dict(fingerprint) in _fingerprints(document):
            return version
    raise ArtifactError(
        f"the promoted program is not among the versions in {programs.address('')}. "
        f"Put its version back, or promote another one: po-optimizer runs promote."
    )


def _fingerprints(document: dict[str, Any]) -> list[Any]:
    """As it was saved; and of a document of an earlier version, as it is made now."""
    stored = document.get("fingerprint")
    if document.get("format_version") == fmt.FORMAT_VERSION:
        return [stored]
    return [stored, prompt_hashes(inspect_program(fmt.dump(document), "memory"))]


def _read(folder: Folder, name: str) -> dict[str, Any] | None:
    data = folder.read(name)
    try:
        document = None if data is None else json.loads(data)
    except ValueError as error:
        raise DamagedArtifactError(folder.address(name), f"no JSON: {error}") from error
    if not isinstance(document, dict | None):
        raise DamagedArtifactError(folder.address(name), "it holds no mapping")
    return document
