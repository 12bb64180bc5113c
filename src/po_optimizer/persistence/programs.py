"""The module tree: classes by path, attributes as values, shared modules once.

What the optimizer kept of its search, DSPy's call history, LMs and secrets are not
written. Code is named in `not_stored` and comes back from a donor: the program that
was given, an allowed import, or a fresh program of the same class.
"""

import copy
import inspect
import logging
import re
from collections.abc import Iterator
from typing import Any

import dspy

from po_optimizer.errors import DamagedArtifactError, NotCallableError, PoOptimizerError
from po_optimizer.persistence.allowlist import DATA_PACKAGES, import_path
from po_optimizer.persistence.values import (
    ABSENT,
    Decoder,
    Encoder,
    NotStored,
    decodes,
    encodes,
    part,
)

logger = logging.getLogger(__name__)
Node = dict[str, Any]

PROVENANCE = "_provenance"
SEARCH_HISTORY = frozenset(
    {"trial_logs", "candidate_programs", "mb_candidate_programs", "detailed_results"}
)
_NOT_STATE = SEARCH_HISTORY | {"history", PROVENANCE}
_PROMPT_STATE = frozenset({"demos", "signature", "config"})
_SECRET = re.compile(
    r"(^|_)(api_?key|access_key(_id)?|secret|secret_key|token|session_token|password|"
    r"passwd|authorization|credentials?|private_key|api_base|base_url|endpoint|"
    r"headers|model_list)$",
    re.IGNORECASE,
)
_DEFAULTS: Node = {
    **{"_compiled": False, "callbacks": [], "lm": None, "traces": [], "train": []},
    **{"demos": [], "fields": {}, "config": {}},
}


class RebuiltProgram(dspy.Module):
    """A program whose class was not imported: its predictors, but not its forward.

    Args:
        path: The import path of the class that was saved.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        self.rebuilt_from = path

    def forward(self, **_kwargs: Any) -> Any:
        """Refuse, because how the predictors work together is code.

        Raises:
            NotCallableError: Always.
        """
        raise NotCallableError(self.rebuilt_from, predictors(self))


def is_secret(name: str) -> bool:
    """True for names under which keys, headers and endpoints are kept."""
    return _SECRET.search(name) is not None


def predictors(program: Any) -> dict[str, dspy.Predict]:
    """Every predictor by path, frozen ones too; a shared one once."""
    found: dict[str, dspy.Predict] = {}
    seen: set[int] = set()
    queue = [("self", program)]
    while queue:
        where, item = queue.pop(0)
        if id(item) in seen:
            continue
        if isinstance(item, dspy.Predict):
            found[where] = item
        children = list(_children(where, item))
        if children or isinstance(item, dspy.Module):
            seen.add(id(item))
        queue.extend(children)
    return found


def _children(where: str, item: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(item, dspy.Module):
        for name, value in vars(item).items():
            if name not in _NOT_STATE and name not in ("demos", "traces", "train"):
                yield f"{where}.{name}", value
    elif isinstance(item, dict):
        for key, value in item.items():
            yield f"{where}[{key!r}]", value
    elif isinstance(item, list | tuple):
        for i, value in enumerate(item):
            yield f"{where}[{i}]", value


@encodes("dspy.primitives.module.Module+")
def encode_module(encoder: Encoder, module: Any, where: str) -> Node:
    """A module as data; the second time only a reference to the first."""
    if id(module) in encoder.modules:
        return {"$": "ref", "id": encoder.modules[id(module)]}
    number = encoder.modules[id(module)] = len(encoder.modules)
    kind = type(module)
    path = getattr(module, "rebuilt_from", import_path(kind))
    node: Node = {"$": "module", "id": number, "class": path}
    if not _is_dspy(kind) and isinstance(module, dspy.Predict):
        node["predictor"] = True
    if kind is not RebuiltProgram:
        encoder.known[path] = kind
    state = {
        name: _encode_attribute(encoder, name, value, f"{where}.{name}")
        for name, value in vars(module).items()
        if name not in _NOT_STATE and name != "rebuilt_from"
    }
    node["state"] = {
        name: value
        for name, value in state.items()
        if name not in _DEFAULTS or value != _DEFAULTS[name]
    }
    return node


def _is_dspy(kind: type) -> bool:
    return kind.__module__.split(".")[0] in DATA_PACKAGES


def _encode_attribute(encoder: Encoder, name: str, value: Any, where: str) -> Any:
    if is_secret(name) and not isinstance(value, NotStored | None):
        return encoder.leave_out(where, "secret", type(value).__name__)
    if name == "callbacks":
        return encoder.leave_out(where, "callbacks", "callbacks") if value else []
    if name == "config" and isinstance(value, dict):
        value = without_secrets(value)
    with encoder.strictness(strict=name in _PROMPT_STATE):
        return encoder.encode(value, where)


class Secret:
    """Marks a config entry that is not written."""


def without_secrets(config: dict[Any, Any]) -> dict[Any, Any]:
    """The config with each key, header and endpoint replaced by a marker."""
    return {
        key: Secret()
        if isinstance(key, str)
        and is_secret(key)
        and not isinstance(value, NotStored | None)
        else without_secrets(value)
        if type(value) is dict
        else value
        for key, value in config.items()
    }


@encodes(f"{__name__}.Secret")
def _encode_secret(encoder: Encoder, _value: Any, where: str) -> Node:
    return encoder.leave_out(where, "secret", "secret")


@encodes("dspy.clients.base_lm.BaseLM+")
def _encode_lm(encoder: Encoder, value: Any, where: str) -> Node:
    return encoder.leave_out(where, "lm", type(value).__name__)


@encodes("pydantic.types.SecretStr", "pydantic.types.SecretBytes")
def _encode_secret_value(encoder: Encoder, value: Any, where: str) -> Node:
    return encoder.leave_out(where, "secret", type(value).__name__)


@encodes(
    "builtins.function",
    "builtins.builtin_function_or_method",
    "builtins.method",
    "functools.partial",
)
def _encode_function(encoder: Encoder, value: Any, where: str) -> Node:
    """Code is named, never written; DSPy's own wrappers are looked through."""
    inner = getattr(value, "__closure__", None)
    wrapper = getattr(value, "__module__", "")
    if inner and wrapper in ("dspy.predict.best_of_n", "dspy.predict.refine"):
        value = inner[0].cell_contents
    found = value if hasattr(value, "__qualname__") else type(value)
    return encoder.leave_out(where, "function", import_path(found))


_PARALLEL = (
    *("num_threads", "max_errors", "access_examples", "return_failed_examples"),
    *("provide_traceback", "disable_progress_bar", "timeout", "straggler_limit"),
)


@encodes("dspy.predict.parallel.Parallel")
def _encode_parallel(encoder: Encoder, value: Any, where: str) -> Node:
    """No module of DSPy's: its settings are data, its lock is made anew."""
    settings = {name: getattr(value, name) for name in _PARALLEL}
    return {"$": "parallel", "v": encoder.encode(settings, where)}


@decodes("parallel")
def _decode_parallel(decoder: Decoder, node: Node, _donor: Any) -> Any:
    return dspy.Parallel(**decoder.decode(node["v"]))


@decodes("ref")
def _decode_reference(decoder: Decoder, node: Node, _donor: Any) -> Any:
    return decoder.modules[node["id"]]


@decodes("module")
def decode_module(decoder: Decoder, node: Node, donor: Any) -> Any:
    """The module of a node, of its own class if that may be imported.

    Raises:
        DamagedArtifactError: An attribute has a name that no module has.
    """
    if not isinstance(donor, dspy.Module):
        donor = ABSENT
    kind = type(donor) if donor is not ABSENT else _class_of(decoder, node)
    before = decoder.n_missing
    module = _fill(decoder, node, kind, donor)
    if decoder.n_missing > before and donor is ABSENT and kind and not _is_dspy(kind):
        donor = _fresh(kind, module)
        if donor is not ABSENT:
            decoder.n_missing = before
            module = _fill(decoder, node, kind, donor)
    return module


def _class_of(decoder: Decoder, node: Node) -> Any:
    found = decoder.imports.find(node["class"], "module")
    return dspy.Predict if found is None and node.get("predictor") else found


def _fill(decoder: Decoder, node: Node, kind: Any, donor: Any) -> Any:
    module = RebuiltProgram(node["class"]) if kind is None else kind.__new__(kind)
    dspy.Module._base_init(module)
    decoder.modules[node["id"]] = module
    members = ABSENT if donor is ABSENT else vars(donor)
    state: Node = module.__dict__
    for name, value in node["state"].items():
        if name.startswith("__"):
            raise DamagedArtifactError("state", f"attribute {name!r:.80}")
        state[name] = decoder.decode(value, part(members, name))
    if donor is not ABSENT:  # what the class has gained since
        for name in members.keys() - _NOT_STATE - _DEFAULTS.keys():
            state.setdefault(name, members[name])
    if isinstance(module, dspy.Predict):
        for name, value in _DEFAULTS.items():
            state.setdefault(name, copy.copy(value))
    return module


def _fresh(kind: Any, filled: Any) -> Any:
    """A new program of that class, with the constructor arguments it seems to keep."""
    arguments = {
        name: vars(filled)[name]
        for name, parameter in inspect.signature(kind.__init__).parameters.items()
        if name != "self"
        and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        and name in vars(filled)
    }
    try:
        return kind(**arguments)
    except (
        TypeError,
        ValueError,
        LookupError,
        AttributeError,
        OSError,
        RuntimeError,
        PoOptimizerError,
    ) as error:
        logger.warning("%s could not be made afresh: %s", kind.__name__, error)
        return ABSENT
