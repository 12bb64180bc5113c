"""A stored program to look at: texts out of its document, and nothing built."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from po_optimizer.errors import DamagedArtifactError
from po_optimizer.persistence import format as fmt

_MALFORMED = (LookupError, TypeError, ValueError, AttributeError, RecursionError)
_EXAMPLES = ("demos", "traces", "train")


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
    """The predictors of a checked document, outermost first, a shared one once.

    Raises:
        DamagedArtifactError: It is no document as they are saved.
    """
    return [_outline(path, state) for path, state in predictor_states(document)]


def predictor_states(document: fmt.Document) -> list[tuple[str, dict[str, Any]]]:
    """Path and attributes of each predictor in a checked document.

    Raises:
        DamagedArtifactError: It is no document as they are saved.
    """
    try:
        return list(_predictor_states(document["program"]))
    except _MALFORMED as error:
        problem = f"malformed content ({type(error).__name__}: {error!s:.200})"
        raise DamagedArtifactError("document", problem) from error


def _predictor_states(program: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    modules, queue = dict(_modules(program)), deque([("self", program)])
    while queue:
        path, node = queue.popleft()
        if _tag(node) in ("module", "ref"):
            node = modules.pop(node.get("id"), None)
        if _tag(node) == "module" and fmt.is_predictor(node):
            yield path, node["state"]
        queue.extend((f"{path}{step}", part) for step, part in _parts(node))


def _tag(node: Any) -> Any:
    return node.get("$") if isinstance(node, dict) else None


def _modules(node: Any) -> Iterator[tuple[Any, Any]]:
    """Every module in a part of a document, by its id."""
    if _tag(node) == "module":
        yield node["id"], node
    for _, part in _parts(node):
        yield from _modules(part)


def _parts(node: Any) -> Iterator[tuple[str, Any]]:
    """Where predictors may lie in a node, as steps of a path."""
    tag = _tag(node)
    if tag == "module":
        examples = _EXAMPLES if fmt.is_predictor(node) else ()
        state = node["state"].items()
        yield from ((f".{k}", v) for k, v in state if k not in examples)
        return
    pairs: Any = ()
    if tag in ("dict", "ordereddict", "defaultdict"):
        pairs = node["items"]
    elif tag == "tuple" or isinstance(node, list):
        pairs = enumerate(node["items"] if tag else node)
    elif tag is None and isinstance(node, dict):
        pairs = node.items()
    for key, item in pairs:
        name = tuple(key["items"]) if _tag(key) == "tuple" else key
        yield f"[{name!r}]", item


def _outline(path: str, state: dict[str, Any]) -> PredictorOutline:
    signature, demos = state.get("signature"), state.get("demos")
    if not isinstance(signature, dict):
        signature = {}
    fields: dict[str, dict[str, str]] = {"input": {}, "output": {}}
    listed = signature.get("fields")
    for field in listed if isinstance(listed, list) else ():
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
