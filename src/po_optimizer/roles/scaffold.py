"""Writes the files of a new role, which run as they are, for the user to change."""

import importlib.util
import json
import keyword
import re
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from string import Template

import dspy

from po_optimizer.errors import SettingError, listed
from po_optimizer.files import write_whole

_NAME = re.compile(r"[a-z][a-z0-9_]*")
EXAMPLES = (
    ("The ferry to the island leaves at noon.", "noon"),
    ("Maria planted two apple trees in March.", "March"),
    ("Bread costs three euro at the corner shop.", "three"),
    ("Our train was late because of snow.", "snow"),
    ("He keeps his bicycle in the cellar.", "cellar"),
    ("Seven lamps light the old bridge.", "Seven"),
    ("A letter from Lisbon came on Friday.", "Friday"),
    ("She paints wooden boats green.", "green"),
    ("Doctors met online to discuss sleep.", "sleep"),
    ("Nobody has found the lost violin yet.", "violin"),
)
"""Sentences of which none is like another, and a word of each."""

_TEMPLATES = files(__package__) / "template"


def write_role(
    project: Path, name: str, inputs: Sequence[str], outputs: Sequence[str]
) -> list[Path]:
    """Writes the folder `roles/<name>`: program, metric, records, parameters, a test.

    Args:
        project: The project's folder.
        name: Of the role, and of the package that its code is imported as.
        inputs: Fields that the program is given.
        outputs: Fields that it gives.

    Returns:
        The files, in the order in which one reads them.

    Raises:
        SettingError: A name cannot be used, or the role is there already.
    """
    _check_names(project, name, inputs, outputs)
    folder = project / "roles" / name
    folder.mkdir(parents=True)
    texts = dict(_files(name, inputs, outputs))
    for file, text in texts.items():
        write_whole(folder / file, text)
    return [folder / file for file in texts]


def _check_names(
    project: Path, name: str, inputs: Sequence[str], outputs: Sequence[str]
) -> None:
    folder = project / "roles" / name
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        allowed = "a role is a package: lower-case letters, digits, underscores"
        raise SettingError("name", name, allowed, "Choose another one.")
    configured = project / "conf" / "base" / "roles" / f"{name}.yml"
    for path in (folder, configured):
        if path.exists():
            remedy = "Choose another name, or remove what is there."
            raise SettingError("name", name, f"{path} is there already", remedy)
    spec = importlib.util.find_spec(name)
    if spec is not None and spec.origin is not None:  # a bare folder would not win
        problem = "Python has a package of that name, which would be imported instead"
        raise SettingError("name", name, problem, "Choose another one.")
    fields = [*inputs, *outputs]
    wrong = [f for f in fields if not _can_be_field(f)]
    wrong += sorted({f for f in fields if fields.count(f) > 1})
    if wrong or not inputs or not outputs:
        raise SettingError(
            "fields",
            f"{listed(inputs)} -> {listed(outputs)}",
            f"{listed(wrong)} cannot be a field. A field is a name of Python without _ "
            "in front, it stands once, and DSPy's Example and Signature have none of "
            "that name"
            if wrong
            else "one or more inputs and outputs are needed",
            "Give them as in --inputs question,context --outputs answer.",
        )


def _can_be_field(name: str) -> bool:
    """Not what `example.name` and `forward(self, name)` mean already."""
    taken = any(hasattr(place, name) for place in (dspy.Example, dspy.Signature))
    if taken or keyword.iskeyword(name) or name == "self":
        return False
    return name.isidentifier() and not name.startswith("_")


def _files(
    name: str, inputs: Sequence[str], outputs: Sequence[str]
) -> Iterator[tuple[str, str]]:
    kinds = dict.fromkeys(inputs, "Input") | dict.fromkeys(outputs, "Output")
    fields = [f"    {field}: str = dspy.{kind}Field()" for field, kind in kinds.items()]
    names = {
        "name": name,
        "names": ", ".join(f'"{field}"' for field in outputs),
        "outputs": ", ".join(outputs),
        "fields": "\n".join(fields),
        "parameters": ", ".join(f"{field}: str" for field in inputs),
        "arguments": ", ".join(f"{field}={field}" for field in inputs),
    }
    for file in ("role.py", "role.yml", "test_role.py", "__init__.py"):
        text = (_TEMPLATES / f"{file}.tmpl").read_text(encoding="utf-8")
        yield file, Template(text).substitute(names)
    records = (
        dict.fromkeys(inputs, text) | dict.fromkeys(outputs, word)
        for text, word in EXAMPLES
    )
    yield "records.jsonl", "".join(f"{json.dumps(record)}\n" for record in records)
