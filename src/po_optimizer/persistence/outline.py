"""A stored program to look at: texts out of its document, and nothing built."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from po_optimizer.persistence import format as fmt


@dataclass(frozen=True)
class PredictorOutline:
    """One predictor's prompt, as texts.

    Attributes:
        path: Where it lies in the program, e.g. `self.answer.predict`.
        instructions: Its signature's instructions.
        inputs: Description of each input field by name, in order.
        outputs: The same of the outputs.
        demos: The values of each demo by field.
    """

    path: str
    instructions: str
    inputs: dict[str, str]
    outputs: dict[str, str]
    demos: list[dict[str, str]]


def outline_program(document: fmt.Document) -> list[PredictorOutline]:
    """The predictors of a checked document, outermost first."""
    queue = deque([("self", document["program"])])
    outlines = []
    while queue:
        path, node = queue.popleft()
        state = node.get("state") if isinstance(node, dict) else None
        if isinstance(state, dict) and isinstance(state.get("signature"), dict):
            outlines.append(_outline(path, state))
        queue.extend(_children(path, node))
    return outlines


def _children(path: str, node: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict) and node.get("$") == "tuple":
        node = node.get("items")
    if isinstance(node, list):
        yield from ((f"{path}[{i}]", item) for i, item in enumerate(node))
    elif isinstance(node, dict) and isinstance(node.get("state"), dict):
        for name, item in node["state"].items():
            if name not in ("demos", "traces", "train", "signature"):
                yield f"{path}.{name}", item
    elif isinstance(node, dict) and "$" not in node:
        yield from ((f"{path}[{key!r}]", item) for key, item in node.items())


def _outline(path: str, state: dict[str, Any]) -> PredictorOutline:
    signature, demos = state["signature"], state.get("demos")
    fields: dict[str, dict[str, str]] = {"input": {}, "output": {}}
    for field in signature.get("fields") or ():
        extra = field.get("extra") if isinstance(field, dict) else None
        if isinstance(extra, dict):
            kind = fields.get(str(extra.get("__dspy_field_type")), {})
            kind[_text(field.get("name"))] = _text(extra.get("desc", ""))
    return PredictorOutline(
        path=path,
        instructions=_text(signature.get("instructions")),
        inputs=fields["input"],
        outputs=fields["output"],
        demos=[_demo(demo) for demo in demos] if isinstance(demos, list) else [],
    )


def _demo(node: Any) -> dict[str, str]:
    values = node.get("v", node) if isinstance(node, dict) and "$" in node else node
    if not isinstance(values, dict):
        return {"": _text(node)}
    return {name: _text(value) for name, value in values.items() if name != "$"}


def _text(node: Any) -> str:
    return node if isinstance(node, str) else fmt.dump(node).decode()
