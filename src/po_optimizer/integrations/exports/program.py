"""A stored program, taken apart for an export."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, get_args

import dspy

from po_optimizer.integrations.exports.template import AdapterName, is_setting
from po_optimizer.persistence import format as fmt
from po_optimizer.persistence.codec.modules import predictors
from po_optimizer.persistence.components import inspect_program

_NO_CODE = {
    "dspy.predict.predict:Predict",
    "dspy.predict.chain_of_thought:ChainOfThought",
}


class StoredProgram(NamedTuple):
    """The program of a document without its code, and what no prompt can hold of it.

    Attributes:
        program: To look at: nothing of its own was imported.
        predictors: By a name that is fit for a file.
        left_out: A sentence for each part that is not a predictor's prompt.
        adapter: How DSPy asked when it was optimized; "json": nobody says.
    """

    program: dspy.Module
    predictors: dict[str, dspy.Predict]
    left_out: list[str]
    adapter: AdapterName


def read_program(path: Path) -> StoredProgram:
    """The program of a document, or of the newest version in a folder.

    Raises:
        DamagedArtifactError: It is not what was saved.
        ArtifactError: It cannot be read.
    """
    path = fmt.newest(path)
    document = fmt.read_local(path)
    program = inspect_program(path.read_bytes(), str(path))
    named: dict[str, dspy.Predict] = {}
    for place, predictor in predictors(program).items():
        name = re.sub(r"\W+", "_", place.removeprefix("self.")).strip("_")
        name = name.removesuffix("_predict") if name != "self" else "predict"
        while name.casefold() in map(str.casefold, named):  # both are files' names
            name += "_"
        named[name] = predictor
    adapter = document["provenance"].get("adapter")
    return StoredProgram(
        program,
        named,
        [*_left_out(document, named)],
        adapter if adapter in get_args(AdapterName) else "json",
    )


def _left_out(document: fmt.Document, named: dict[str, dspy.Predict]) -> Iterator[str]:
    for path in dict.fromkeys(_classes(document["program"])):
        if path not in _NO_CODE:
            yield f"the code of {path}, which calls or surrounds: {', '.join(named)}"
    for name, predictor in named.items():
        if predictor.lm is not None:
            yield f"the LM that {name} holds"
        if odd := [k for k, v in predictor.config.items() if not is_setting(k, v)]:
            yield f"settings of {name}: {', '.join(odd)}"
        kinds = {field.annotation for field in predictor.signature.fields.values()}
        if dspy.ToolCalls in kinds:
            yield f"the native tool calls of {name}"
    for part in document["not_stored"]:
        yield f"what the document only names: {', '.join(map(str, part.values()))}"
    yield "how DSPy reads the answer, and the response_format that it adds for some LMs"


def _classes(node: Any) -> Iterator[str]:
    """The import paths of all modules in a document's tree."""
    if isinstance(node, dict):
        if node.get("$") == "module":
            yield str(node.get("class") or node.get("predictor"))
        node = list(node.values())
    if isinstance(node, list):
        for part in node:
            yield from _classes(part)
