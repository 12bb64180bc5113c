"""The module tree: classes by path, attributes as values, shared modules once.

What the optimizer kept of its search, DSPy's call history and secrets are not
written. Code is named in `not_stored` and comes back from a donor: the program that
was given, or one made by a constructor that the caller trusts by name.
"""

import functools
import inspect
import logging
from collections import deque
from collections.abc import Iterator
from typing import Any

import dspy

from po_optimizer.errors import (
    ArtifactError,
    DamagedArtifactError,
    NotStorableError,
    listed,
)
from po_optimizer.persistence.codec.imports import EXACT, class_reference, import_path
from po_optimizer.persistence.codec.values import (
    ABSENT,
    Decoder,
    Encoder,
    Node,
    NotStored,
    decodes,
    encodes,
    part,
)

logger = logging.getLogger(__name__)

PROVENANCE = "_po_optimizer_provenance"
_SEARCH_HISTORY = frozenset(
    {"trial_logs", "candidate_programs", "mb_candidate_programs", "detailed_results"}
)
_NOT_STATE = frozenset({PROVENANCE, "__orig_class__", "__rebuilt_from__"})
_EXAMPLES = frozenset({"demos", "traces", "train"})
_SCALARS = (str, bytes, int, float, type(None))


class _Codeless:
    """A module whose class was not imported: what it adds to a call is code."""

    __rebuilt_from__: str

    def forward(self, **_kwargs: Any) -> Any:
        """Refuse."""
        msg = (
            f"the class {self.__rebuilt_from__!r} of this program was not imported, so "
            f"it is unknown how its predictors ({listed(predictors(self))}) work "
            "together. Install its package and allow it with allowed_packages, or pass "
            "program=..."
        )
        raise ArtifactError(msg)


class RebuiltProgram(_Codeless, dspy.Module):
    """A program without its class: its predictors, but not its forward."""


class RebuiltPredict(_Codeless, dspy.Predict):
    """A subclass of `dspy.Predict` without its code: its prompt alone."""


def predictors(program: Any) -> dict[str, dspy.Predict]:
    """Every predictor by path, frozen ones too; a shared one once."""
    by_path: dict[str, dspy.Predict] = {}
    seen: set[int] = set()
    queue = deque([("self", program)])
    while queue:
        where, item = queue.popleft()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, dspy.Predict):
            by_path[where] = item
        queue.extend(_children(where, item))
    return by_path


def _children(where: str, item: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(item, dspy.Module):
        examples = _EXAMPLES if isinstance(item, dspy.Predict) else ()
        for name, value in vars(item).items():
            is_part = not isinstance(value, _SCALARS) and name not in examples
            if is_part and _is_state(name, value):
                yield f"{where}.{name}", value
    elif isinstance(item, dict | list | tuple):
        pairs = item.items() if isinstance(item, dict) else enumerate(item)
        for key, value in pairs:
            if not isinstance(value, _SCALARS):
                yield f"{where}[{key!r}]", value


@encodes("dspy.primitives.module.Module+")
def encode_module(encoder: Encoder, module: Any, where: str) -> Node:
    """A module as data; the second time only a reference to the first."""
    if id(module) in encoder.modules:
        return {"$": "ref", "id": encoder.modules[id(module)]}
    number = encoder.modules[id(module)] = len(encoder.modules)
    kind = type(module)
    is_codeless = isinstance(module, _Codeless)
    path = module.__rebuilt_from__ if is_codeless else class_reference(kind)
    _refuse_names(encoder, module, where)
    node: Node = {"$": "module", "id": number, "class": path}
    if isinstance(module, dspy.Predict) and path not in EXACT["module"]:
        node["predictor"] = True
    if not is_codeless:
        encoder.classes[path] = kind
    node["state"] = {
        name: _encode_attribute(encoder, module, name, value, f"{where}.{name}")
        for name, value in vars(module).items()
        if _is_state(name, value)
    }
    return node


def _refuse_names(encoder: Encoder, module: Any, where: str) -> None:
    """Refuses values in slots, and names that no document may bring along."""
    kind: Any = type(module)
    names = [n for n in vars(module) if n[:2] == "__" and n not in _NOT_STATE]
    names += [name for name in _slots(kind) if hasattr(module, name)]
    for name in names:
        problem = "it stands in __slots__, or only Python uses such names"
        if not encoder.rescue:
            raise NotStorableError(f"{where}.{name}", problem)
        encoder.problems.append(f"{where}.{name}: {problem}")


@functools.lru_cache(256)
def _slots(kind: type) -> set[str]:
    slots = [vars(base).get("__slots__", ()) for base in kind.__mro__]
    names = {n for s in slots for n in ([s] if isinstance(s, str) else s)}
    return names - {"__dict__", "__weakref__"}


def _is_state(name: str, value: Any) -> bool:
    if name == "history":  # DSPy's log of calls, or somebody's own attribute
        return not isinstance(value, list) or not all(
            isinstance(v, dict) and {"prompt", "messages"} <= v.keys() for v in value
        )
    is_ours = name in _NOT_STATE or name[:2] == "__"
    return not (is_ours or is_search_history(name, value))


def is_search_history(name: str, value: Any) -> bool:
    """True for what an optimizer left of its search; somebody's own flag is none."""
    return name in _SEARCH_HISTORY and not isinstance(value, _SCALARS)


def _encode_attribute(
    encoder: Encoder, module: Any, name: str, value: Any, where: str
) -> Any:
    if name == "callbacks" and not isinstance(value, NotStored):
        return encoder.leave_out(where, "callbacks", "callbacks") if value else []
    if value is None or value is True or value is False:
        return value
    of_predict = isinstance(module, dspy.Predict)
    strict = of_predict and name in ("demos", "config")
    guards = encoder.guards and not (of_predict and name in _EXAMPLES)
    if (strict, guards) == (encoder.strict, encoder.guards):
        return encoder.encode_member(name, value, where)
    with encoder.having(strict=strict, guards=guards):
        return encoder.encode_member(name, value, where)


@encodes("dspy.retrievers.retrieve.Retrieve", "dspy.adapters.base.Adapter+")
def _encode_object(encoder: Encoder, value: Any, where: str) -> Node:
    """An object of DSPy that is no module and holds data only."""
    path = import_path(type(value))
    if path not in EXACT["object"]:
        return encoder.leave_out(where, "object", path)
    state = {name: v for name, v in vars(value).items() if name != "callbacks"}
    node: Node = {"$": "object", "class": path}
    return {**node, "state": encoder.encode_members(state, where)}


@decodes("object")
def _decode_object(decoder: Decoder, node: Node, donor: Any) -> Any:
    kind = EXACT["object"].get(node["class"])
    if kind is None:
        raise DamagedArtifactError("object", f"class {node['class']!r:.80}")
    value: Any = object.__new__(kind)
    vars(value)["callbacks"] = []
    vars(value).update(decoder.decode_members(node["state"], donor))
    return value


_PARALLEL = (
    *("num_threads", "max_errors", "access_examples", "return_failed_examples"),
    *("provide_traceback", "disable_progress_bar", "timeout", "straggler_limit"),
)


@encodes("dspy.predict.parallel.Parallel")
def _encode_parallel(encoder: Encoder, value: Any, where: str) -> Node:
    """Settings as data; it is no module, and its lock is made anew."""
    settings = {name: getattr(value, name) for name in _PARALLEL}
    return {"$": "parallel", "v": encoder.encode(settings, where)}


decodes("parallel")(lambda dec, node, _: dspy.Parallel(**dec.decode(node["v"])))
decodes("ref")(lambda decoder, node, _donor: decoder.modules[node["id"]])


@decodes("module")
def _decode_module(decoder: Decoder, node: Node, donor: Any) -> Any:
    """The module of a node, of its own class if that may be imported.

    The donor is the given program, else a new one if its constructor is trusted.
    """
    if not decoder.modules and not decoder.compare:
        if donor is ABSENT and node["class"] in decoder.imports.constructors:
            donor = _construct(decoder, node)
        _pair(decoder, node, donor)
    return _fill(decoder, node, donor if isinstance(donor, dspy.Module) else ABSENT)


def _pair(decoder: Decoder, node: Any, donor: Any) -> None:
    """Makes empty modules first, so that a donor's methods can be bound to them."""
    tag = node.get("$") if isinstance(node, dict) else None
    pairs: Any = ()
    if tag == "module" and isinstance(donor, dspy.Module):
        _shell(decoder, node, donor)
        pairs, donor = node["state"].items(), vars(donor)
    elif tag in ("dict", "ordereddict", "defaultdict"):
        pairs = ((decoder.decode(key), item) for key, item in node["items"])
    elif tag == "tuple" or isinstance(node, list):
        pairs = enumerate(node["items"] if tag else node)
    elif tag is None and isinstance(node, dict):
        pairs = node.items()
    for key, item in pairs:
        if (given := part(donor, key)) is not ABSENT:
            _pair(decoder, item, given)


def _shell(decoder: Decoder, node: Node, donor: Any) -> Any:
    """The module without its attributes; always the same one for a donor's module."""
    if donor is not ABSENT:
        if id(donor) in decoder.counterparts:
            return decoder.counterparts[id(donor)]
        kind: Any = type(donor)
    else:
        kind = decoder.imports.find(node["class"], "module")
    if kind is None:
        kind = RebuiltPredict if node.get("predictor") else RebuiltProgram
    module = object.__new__(kind)
    if donor is not ABSENT:
        decoder.counterparts[id(donor)] = module
    if isinstance(module, _Codeless):
        module.__dict__["__rebuilt_from__"] = str(node["class"])
    return module


def _fill(decoder: Decoder, node: Node, donor: Any) -> Any:
    module = _shell(decoder, node, donor)
    decoder.modules[node["id"]] = module
    state: Node = module.__dict__
    for name, value in decoder.decode_members(node["state"], donor):
        state[name] = value
    if donor is not ABSENT:  # what the class has gained since
        for name, value in vars(donor).items():
            if _is_state(name, value):
                state.setdefault(name, value)
        if isinstance(donor, dspy.Flex) and donor.module_src != state["_module_src"]:
            raise ArtifactError(
                "program=... has a dspy.Flex with other source than was saved. It is "
                "code, and the given program's would run. Bind it there first: "
                "flex.load_state({'module_src': source, 'lm': None})"
            )
    for name, default in (("_compiled", False), ("callbacks", []), ("history", [])):
        state.setdefault(name, default)  # the order of the others is the program's
    return module


def _construct(decoder: Decoder, node: Node) -> Any:
    """A new program of the class, with the arguments that were recorded.

    A default never stands in for an argument that is not known.
    """
    kind = decoder.imports.find(node["class"], "module")
    if kind is None or decoder.arguments is None:
        return ABSENT
    try:
        inspect.signature(kind).bind(**decoder.arguments)
        return kind(**decoder.arguments)
    except Exception as error:  # noqa: BLE001 a constructor may fail in any way
        logger.warning("%s could not be made afresh: %s", node["class"], error)
        return ABSENT
