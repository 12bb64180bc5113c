"""Puts the table of all parameters into the page that asks for it."""

import inspect
import re
from typing import Any

from pydantic import BaseModel

from po_optimizer import params

_GROUPS = {
    "role": params.RoleParams,
    "lm": params.LMParams,
    "data_prep": params.DataPrepParams,
    "optimize": params.OptimizeParams,
    "evaluate": params.EvaluateParams,
    "promotion": params.PromotionParams,
    "features": params.FeaturesParams,
}


def on_page_markdown(markdown: str, **_: Any) -> str:
    """The page with its marker replaced."""
    return markdown.replace("<!-- parameters -->", tables())


def tables() -> str:
    """A table for each group of parameters."""
    parts = []
    for group, model in _GROUPS.items():
        summary = (inspect.getdoc(model) or "").splitlines()[0]
        parts.append(f"## {group}\n\n{summary}\n\n| key | type | default | |")
        parts.append("|---|---|---|---|")
        parts += [f"| {' | '.join(row)} |" for row in _rows(group, model)]
        parts.append("")
    return "\n".join(parts)


def _rows(prefix: str, model: type[BaseModel]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    source = inspect.getsource(model)
    for name, field in model.model_fields.items():
        inner = _model_in(field.annotation)
        if inner is not None:
            rows += _rows(f"{prefix}.{name}", inner)
            continue
        found = re.search(rf"^    {name}:.*?#\s*(.+)$", source, re.MULTILINE)
        value = field.get_default(call_default_factory=True)
        default = "required" if field.is_required() else f"`{value!r}`"
        kind = _words(field.annotation)
        rows.append((f"`{prefix}.{name}`", kind, default, found[1] if found else ""))
    return rows


def _model_in(annotation: Any) -> type[BaseModel] | None:
    for one in (annotation, *getattr(annotation, "__args__", ())):
        if isinstance(one, type) and issubclass(one, BaseModel):
            return one
    return None


def _words(annotation: Any) -> str:
    text = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    text = re.sub(r"typing\.|Annotated\[(\w+)[^\]]*\)\]", r"\1", text)
    text = re.sub(r"Literal\[(.*?)\]", lambda m: m[1].replace("'", ""), text)
    return "`" + text.replace(" | ", " or ").replace("|", "or") + "`"
