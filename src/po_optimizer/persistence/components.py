"""A program as one JSON-ready document, and the program of a document.

The two public functions need no Kedro: `extract_program_components` and
`load_program_from_components`.
"""

import copy
import functools
import inspect
import logging
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import dspy
import pydantic_core

from po_optimizer.errors import (
    ArtifactError,
    DamagedArtifactError,
    OtherProgramError,
    SaveError,
    listed,
)
from po_optimizer.persistence import format as fmt
from po_optimizer.persistence.codec import (  # noqa: F401 codecs
    functions,
    held_lms,
    plain,
    signatures,
    value_classes,
)
from po_optimizer.persistence.codec.imports import DEFAULT_ALLOWED, Imports
from po_optimizer.persistence.codec.modules import (
    PROVENANCE,
    RebuiltProgram,
    predictors,
)
from po_optimizer.persistence.codec.values import (
    ABSENT,
    FAILURES,
    Decoder,
    Encoder,
    NotStored,
)
from po_optimizer.persistence.hand_made import fill_program, hand_made
from po_optimizer.persistence.outline import predictor_states
from po_optimizer.persistence.prompts import prompt_hashes

logger = logging.getLogger(__name__)

_MALFORMED = (*FAILURES, re.error, pydantic_core.SchemaError)


def attach_provenance(
    program: dspy.Module, provenance: Mapping[str, Any]
) -> dspy.Module:
    """A copy of the program with its provenance, which save and load keep.

    Args:
        program: Any program; it is not changed.
        provenance: JSON-ready facts, e.g. data hash, seed, scores.
    """
    carrier = copy.copy(program)
    vars(carrier)[PROVENANCE] = fmt.copy_of(dict(provenance))
    return carrier


def get_provenance(program: dspy.Module) -> dict[str, Any]:
    """What `attach_provenance` gave the program; empty for one that has none."""
    return dict(vars(program).get(PROVENANCE, {}))


def extract_program_components(
    program: dspy.Module, *, arguments: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Everything of the program that is data, as a JSON-ready document.

    The document is decoded again and compared before it is returned.

    Args:
        program: Any program; it is not changed.
        arguments: What its constructor was called with, by name. If it is not given,
            only the names of the constructor's parameters are recorded.

    Raises:
        NotStorableError: A demo or a config holds what is not data.
        SaveError: The document cannot be decoded, or differs from the program.
    """
    encoder = Encoder()
    document = encode(encoder, program, arguments)
    compare(document, encoder)
    return fmt.seal(document)


def encode(
    encoder: Encoder, program: dspy.Module, arguments: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The document of a program, unsealed; `encoder` keeps what was met on the way."""
    tree = encoder.encode(program, "self")
    by_path, left_out = predictors(program), encoder.not_stored
    document: dict[str, Any] = {
        "format": fmt.FORMAT,
        "format_version": fmt.FORMAT_VERSION,
        "made_with": fmt.versions(),
        "provenance": get_provenance(program),
        "n_predictors": len(by_path),
        "n_demos": sum(len(predictor.demos) for predictor in by_path.values()),
        "fingerprint": prompt_hashes(program),
        "arguments": encode_arguments(program, arguments),
        "program": tree,
        "types": encoder.types,
        "not_stored": list({tuple(e.values()): e for e in left_out}.values()),
    }
    if encoder.problems:
        document["rescued"] = encoder.problems
    return document


def encode_arguments(program: Any, given: Mapping[str, Any] | None) -> dict[str, Any]:
    """What the constructor was called with, and which arguments nobody knows.

    The role knows them, or the caller of `save_program`: what the instance holds may
    have changed since.
    """
    kind: Any = type(program)
    unknown = [*_parameters_of(kind)] if given is None else []
    encoder = Encoder(rescue=True)  # what is no data is the donor's to give
    known = {
        name: encoder.encode_member(name, value, f"constructor argument {name}")
        for name, value in (given or {}).items()
    }
    return {"known": known, "unknown": unknown, "types": encoder.types}


@functools.lru_cache(256)
def _parameters_of(kind: Any) -> list[str]:
    """What the constructor of somebody's own program takes."""
    of_dspy = kind.__module__.split(".")[0] == "dspy"
    if of_dspy or kind.__init__ is dspy.Module.__init__:
        return []
    return list(inspect.signature(kind.__init__).parameters)[1:]


def _decode_arguments(imports: Imports, node: dict[str, Any]) -> dict[str, Any] | None:
    """The arguments; None if one of them is unknown or no data."""
    if node["unknown"]:
        return None
    decoder = Decoder(imports, node["types"])
    arguments = {str(k): decoder.decode(v) for k, v in node["known"].items()}
    return None if decoder.missing else arguments


def compare(document: dict[str, Any], encoder: Encoder) -> None:
    """Decode the document in memory, encode that and compare.

    Raises:
        SaveError: It is not the same document, or cannot be decoded.
    """
    imports, as_is = Imports((), encoder.classes), encoder.as_is
    decoder = Decoder(imports, document["types"], compare=True, parts=True, as_is=as_is)
    again = Encoder(as_is=as_is)
    try:
        second = again.encode(decoder.decode(document["program"]), "self")
    except ArtifactError:
        raise
    except FAILURES as error:  # a type that pydantic makes no schema of
        raise SaveError("memory", str(error).partition("\n")[0]) from error
    first = encoder.dumped_briefly(document["program"], document["types"])
    if again.dumped_briefly(second, again.types) != first:
        saved = {"self": document["program"], "types": document["types"]}
        changed = _difference(saved, {"self": second, "types": again.types}, "")
        problem = f"decoded again, it encodes differently: {changed}. Text that changes"
        raise SaveError("memory", f"{problem} each time it is made cannot be stored.")


def _difference(first: Any, second: Any, where: str) -> str:
    """Where two encodings differ first, and how."""
    pair = [dict(enumerate(n)) if isinstance(n, list) else n for n in (first, second)]
    if type(first) is type(second) and isinstance(pair[0], dict):
        for key, item in pair[0].items():
            if item != (other := pair[1].get(key)):
                return _difference(item, other, f"{where}.{key}")
    return f"{where[1:]} was {first!r:.100}, then {second!r:.100}"


def decode(document: dict[str, Any], decoder: Decoder, donor: Any = ABSENT) -> Any:
    """The program of a checked document, whatever class could be found for it."""
    try:
        decoder.arguments = _decode_arguments(decoder.imports, document["arguments"])
        program = decoder.decode(document["program"], donor)
        if not isinstance(program, dspy.Module):
            raise DamagedArtifactError("program", "not a module")
        by_path = predictors(program)
        named = [p for path, p in by_path.items() if path in document["fingerprint"]]
        counts = len(named), sum(len(predictor.demos) for predictor in named)
    except ArtifactError:
        raise
    except _MALFORMED as error:
        problem = f"malformed content ({type(error).__name__}: {error!s:.200})"
        raise DamagedArtifactError("document", problem) from error
    if counts != (document["n_predictors"], document["n_demos"]):
        raise DamagedArtifactError("program", f"(predictors, demos) are {counts}")
    return program


def load_program_from_components(
    path_or_document: str | Path | Mapping[str, Any],
    *,
    program: dspy.Module | None = None,
    allowed_packages: Iterable[str] = DEFAULT_ALLOWED,
    lms: Mapping[str, dspy.BaseLM] | None = None,
) -> dspy.Module:
    """The program that was saved, ready to be called if its class is at hand.

    Args:
        path_or_document: A stored file, or the document itself; or a file of
            instructions and demos that somebody wrote by hand, which needs `program`.
        program: A new program of the same class. It gives functions, tools,
            clients and LMs, which no document holds, and its class need not be
            importable. It is not changed, but what it gives is shared.
        allowed_packages: Packages, or dotted prefixes of modules, whose modules and
            data classes may be imported, never a function; and exact names such as
            `my_package.rag:RAG`, whose constructor may be called with the recorded
            arguments. A class outside is rebuilt from the document: one predictor
            becomes a `dspy.Predict`, several a program that lists them and refuses
            calls.
        lms: LMs that could not be made again, by the attribute that held them
            (`"untrusted_model"`, `"final"`) or by their model's name.

    Raises:
        DamagedArtifactError: It is missing, or not what was saved.
        ArtifactError: It is no file, too large, or may not be read; a later version of
            this package wrote it; a path in it names the wrong kind of thing; a type
            in it changed since, and so did the prompts; `program` has other
            predictors, or another LM than the saved one did.
    """
    by_hand = hand_made(path_or_document)
    if by_hand is not None:
        return fill_program(by_hand, program)
    if isinstance(path_or_document, Mapping):
        where, document = "document", fmt.check(dict(path_or_document), "document")
    else:
        where = str(path_or_document)
        document = fmt.read_local(path_or_document)
    return program_of(document, where, program, allowed_packages, lms)


def inspect_program(data: bytes, where: str) -> dspy.Module:
    """The program of a stored document to look at: nothing of its own is imported."""
    document = fmt.parse(data, where)
    return decode(document, Decoder(Imports(()), document["types"], compare=True))


def program_of(
    document: dict[str, Any],
    where: str,
    program: dspy.Module | None = None,
    allowed_packages: Iterable[str] = DEFAULT_ALLOWED,
    lms: Mapping[str, Any] | None = None,
) -> dspy.Module:
    """The program of a checked document; see `load_program_from_components`."""
    donor: Any = ABSENT if program is None else program
    if program is not None:
        _check_predictors(program, document)
    classes = {} if program is None else _survey(program).classes
    imports = Imports(allowed_packages, classes)
    saved_with, here = document["made_with"].get("python"), fmt.versions()["python"]
    decoder = Decoder(
        imports, document["types"], lms=lms or {}, same_python=saved_with == here
    )
    loaded = decode(document, decoder, donor)
    accept = program is not None or "rescued" in document
    _check_prompts(document, loaded, where, accept=accept)
    for path, reason in imports.refused.items():
        logger.warning("%s: %s was rebuilt without its code: %s", where, path, reason)
    warn_of_missing(where, decoder.missing)
    if decoder.unchecked:
        logger.warning(
            "%s was saved with Python %s, this is %s: whether the functions given for "
            "%s are those of then cannot be compared",
            *(where, saved_with, here, listed(dict.fromkeys(decoder.unchecked))),
        )
    if document.get("rescued"):
        logger.warning("%s is a rescue file; lost: %s", where, document["rescued"])
    inner = list(predictors(loaded).values())
    if isinstance(loaded, RebuiltProgram) and len(inner) == 1:
        loaded = inner[0]
        logger.warning("%s: its one predictor answers alone, without that code", where)
    if document.get("provenance"):
        vars(loaded)[PROVENANCE] = document["provenance"]
    return loaded


def _check_predictors(program: dspy.Module, document: dict[str, Any]) -> None:
    given = set(predictors(program))
    # earlier versions named no predictor that was called `demos` or `history`
    stored = {*document["fingerprint"], *(p for p, _ in predictor_states(document))}
    if given != stored:
        raise OtherProgramError(
            f"program=... has the predictors {listed(sorted(given))}, the document has "
            f"{listed(sorted(stored))}. Give a program of the class that was saved."
        )


def warn_of_missing(where: str, missing: list[NotStored]) -> None:
    """Says in the log which parts a loaded program lacks, if it lacks any."""
    if missing:
        logger.warning(
            "%s was loaded without %s; each refuses to be used. Give them with "
            "program=..., a new program of the same class, or lms={...}",
            *(where, describe_missing(missing)),
        )


def missing_parts(program: dspy.Module) -> list[NotStored]:
    """What a loaded program lacks: parts that no document holds and nobody gave."""
    return _survey(program).placeholders


def describe_missing(missing: Iterable[NotStored]) -> str:
    """Places and parts as text for a message."""
    return listed(dict.fromkeys(f"{m.where} ({m.what})" for m in missing))


def _survey(program: dspy.Module) -> Encoder:
    """An encoding for what is met on the way: classes and placeholders."""
    encoder = Encoder(rescue=True)
    encoder.encode(program, "self")
    return encoder


def _check_prompts(
    document: dict[str, Any], loaded: Any, where: str, *, accept: bool
) -> None:
    stored = document["fingerprint"]
    rendered = prompt_hashes(loaded, whole=fmt.WHOLE in document)
    changed = [path for path in stored if stored[path] != rendered.get(path)]
    if not changed:
        return
    same_versions = document["made_with"] == fmt.versions()
    if same_versions and not accept:
        raise ArtifactError(
            f"path={where!r}: these predictors render other prompts than when the "
            f"program was saved: {listed(changed)}. A type in their signatures "
            "changed: restore that code, or pass program=... to accept the new prompts."
        )
    logger.warning(
        "%s: %s render other prompts than when the program was saved with %s",
        where,
        ", ".join(changed),
        document["made_with"],
    )
