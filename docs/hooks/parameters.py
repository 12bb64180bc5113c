"""Puts the table of all parameters into the page that asks for it."""

import inspect
import json
import re
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from po_optimizer import params

_GROUPS: dict[str, type[BaseModel]] = {
    "lm": params.LMParams,
    **{
        name: field.annotation
        for name, field in params.Parameters.model_fields.items()
        if inspect.isclass(field.annotation)
        and issubclass(field.annotation, params.Params)
    },
    "sweep.configurations": params.SweepConfiguration,
}
_FILES = sorted(Path("conf/base").glob("parameters*.yml"))
_CONF = "\n".join(path.read_text(encoding="utf-8") for path in _FILES)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """The page with its marker replaced."""
    return markdown.replace("<!-- parameters -->", tables())


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
    bases = [base for base in model.__mro__ if issubclass(base, params.Params)]
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
    found = re.search(rf"^ +{name}:[^#\n]*#\s*(.+)$", text, re.MULTILINE)
    return found[1] if found else ""


def _model_in(annotation: Any) -> type[BaseModel] | None:
    for one in (annotation, *getattr(annotation, "__args__", ())):
        if isinstance(one, type) and issubclass(one, BaseModel):
            return one
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
