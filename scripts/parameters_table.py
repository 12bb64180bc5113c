"""Writes the tables of all parameters, which a page of the docs includes.

`python scripts/parameters_table.py build/parameters_table.md` is a step of `make docs`.
"""

import inspect
import json
import re
import sys
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from po_optimizer.params.base import Params
from po_optimizer.params.lm import LMParams
from po_optimizer.params.project import Parameters, SweepConfiguration

_GROUPS: dict[str, type[BaseModel]] = {
    "lm": LMParams,
    **{
        name: field.annotation
        for name, field in Parameters.model_fields.items()
        if inspect.isclass(field.annotation) and issubclass(field.annotation, Params)
    },
    "sweep.configurations": SweepConfiguration,
}
_FILES = sorted(Path("conf/base").glob("parameters*.yml"))
_CONF = "\n".join(path.read_text(encoding="utf-8") for path in _FILES)


def tables() -> str:
    """A table for each group of parameters."""
    parts = []
    for group, model in _GROUPS.items():
        summary = (inspect.getdoc(model) or "").splitlines()[0]
        parts.append(f"## {group}\n\n{summary}\n\n| key | meaning | type | default |")
        parts.append("|---|---|---|---|")
        parts += [f"| {' | '.join(row)} |" for row in _rows(group, model)]
        parts.append("")
    return "\n".join(parts)


def _rows(prefix: str, model: type[BaseModel]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    bases = [base for base in model.__mro__ if issubclass(base, Params)]
    source = "\n".join(inspect.getsource(base) for base in bases)
    for name, field in model.model_fields.items():
        inner = _model_in(field.annotation)
        if inner is not None:
            rows += _rows(f"{prefix}.{name}", inner)
            continue
        value = field.get_default(call_default_factory=True)
        default = "required" if field.is_required() else f"`{json.dumps(value)}`"
        kind = _words(field.annotation)
        meaning = _comment(name, source) or _comment(name, _CONF)
        rows.append((f"`{prefix}.{name}`", meaning, kind, default))
    return rows


def _comment(name: str, text: str) -> str:
    """What stands behind a parameter in the models or in the configuration."""
    comment = re.search(rf"^ +{name}:[^#\n]*#\s*(.+)$", text, re.MULTILINE)
    return comment[1] if comment else ""


def _model_in(annotation: Any) -> type[BaseModel] | None:
    for kind in (annotation, *getattr(annotation, "__args__", ())):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None


def _words(annotation: Any) -> str:
    """A type as a reader of YAML knows it."""
    inner = get_args(annotation)
    if get_origin(annotation) is Annotated:
        return _words(inner[0])
    if get_origin(annotation) is Literal:
        return ", ".join(map(str, inner))
    if get_origin(annotation) in {Union, UnionType}:
        return " or ".join(map(_words, inner))
    if annotation is NoneType:
        return "null"
    return (get_origin(annotation) or annotation).__name__


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.parent.mkdir(exist_ok=True)
    target.write_text(tables(), encoding="utf-8")
