"""Components files that others wrote by hand: instructions, fields, perhaps demos.

Such a file is `{"role": ..., "type": ..., "modules": {name: {"instructions": ...,
"fields": ..., "demos": [...]}}}`, or its modules are a list and have a name each. It
has no code and no types: they are the given program's.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dspy
import yaml
from pydantic import TypeAdapter, ValidationError

from po_optimizer.errors import ArtifactError, field_problems, listed
from po_optimizer.files import read_whole
from po_optimizer.persistence import format as fmt
from po_optimizer.persistence.codec.modules import predictors

_HEAD = 200  # bytes, in which a document of ours says so
_PARTS = ("inputs", "outputs")  # in which fields and demos may be told apart
_THOUGHT = {"reasoning", "rationale"}  # no label has it, and older DSPy named it so


def hand_made(path_or_document: Any) -> Mapping[str, Any] | None:
    """The document if it is of this kind; None if it is one of ours, or unreadable."""
    document = path_or_document
    if not isinstance(document, Mapping):
        try:
            data = read_whole(Path(path_or_document).expanduser(), fmt.MAX_BYTES)
            if fmt.FORMAT.encode() in data[:_HEAD]:
                return None
            document = json.loads(data)
        except (OSError, ValueError, RecursionError):
            return None
    is_ours = not isinstance(document, Mapping) or "format_version" in document
    return None if is_ours or "modules" not in document else document


def fill_program(
    document: Mapping[str, Any], program: dspy.Module | None
) -> dspy.Module:
    """A copy of the program with the instructions and demos of the document."""
    if program is None:
        kind = document.get("type") or document.get("role") or "the program"
        raise ArtifactError(
            f"this components file holds instructions of {kind}, and no program. Give "
            "one of the class that it was made from: program=..."
        )
    filled = program.deepcopy()
    modules = document["modules"]
    if not isinstance(modules, Mapping):
        modules = {dict(module).get("name", ""): module for module in modules}
    by_path = {p.removeprefix("self."): it for p, it in predictors(filled).items()}
    for name, module in modules.items():
        if not isinstance(module, Mapping):
            raise ArtifactError(
                f"modules {name} hold no instructions. Give each as "
                '{"instructions": ..., "fields": ..., "demos": [...]}.'
            )
        _fill(name, module, _predictor(name, by_path))
    return filled


def _predictor(name: str, by_path: Mapping[str, dspy.Predict]) -> dspy.Predict:
    """By its name, or as the only one."""
    named = [p for path, p in by_path.items() if name in (path, path.split(".")[0])]
    for candidates in (named, list(by_path.values())):
        if len(candidates) == 1:
            return candidates[0]
    raise ArtifactError(
        f"modules.{name} is none of the program's predictors ({listed(by_path)}). "
        "Rename it in the file to the one that it belongs to."
    )


def _fill(name: str, module: Mapping[str, Any], predictor: dspy.Predict) -> None:
    given = _names(module.get("fields") or ()) - _THOUGHT
    own = set(predictor.signature.fields) - _THOUGHT
    if given and given != own:
        raise ArtifactError(
            f"modules.{name} has the fields {listed(sorted(given))}, the program's "
            f"{listed(sorted(own))}. Give a program of the class that it was made from."
        )
    if module.get("instructions"):
        signature = predictor.signature.with_instructions(str(module["instructions"]))
        predictor.signature = signature
    predictor.demos = [
        _demo(f"modules.{name}.demos[{number}]", demo, predictor.signature)
        for number, demo in enumerate(module.get("demos") or ())
    ]


def _names(fields: Any) -> set[str]:
    """Names of fields, however the file lists them."""
    if isinstance(fields, Mapping):
        parts = [_names(fields.get(part) or ()) for part in _PARTS]
        return set().union(*parts) or set(map(str, fields))
    return {str(f.get("name") if isinstance(f, Mapping) else f) for f in fields}


def _demo(where: str, given: Any, signature: Any) -> dspy.Example:
    """A demo whose values have the types of the signature."""
    values = dict(given) if isinstance(given, Mapping) else {}
    for part in _PARTS:
        if isinstance(values.get(part), Mapping) and part not in signature.fields:
            values |= values.pop(part)
    wanted = [name for name in signature.fields if name not in _THOUGHT]
    missing = [name for name in wanted if values.get(name) is None]
    if missing:
        raise ArtifactError(
            f"{where} lacks {listed(missing)}: a demo without all inputs and outputs "
            "teaches an LM to leave them out. Complete it in the file, or remove it."
        )
    typed = {
        name: _typed(f"{where}.{name}", values[name], field.annotation)
        for name, field in signature.fields.items()
        if name in values
    }
    return dspy.Example(typed).with_inputs(*signature.input_fields)


def _typed(where: str, value: Any, annotation: Any) -> Any:
    """The value as its type; of a text that is none, what it says in YAML or JSON."""
    adapter: TypeAdapter[Any] = TypeAdapter(annotation)
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        problems = field_problems(error)
    if isinstance(value, str):
        try:
            return adapter.validate_python(yaml.load(value, Loader=yaml.BaseLoader))  # noqa: S506 -- texts only
        except ValidationError as error:
            problems = field_problems(error)
        except yaml.YAMLError as error:
            problems = [str(error)]
    problem = f"{where} cannot be used: {listed(problems)}"
    raise ArtifactError(f"{problem}. Correct it in the file.")
