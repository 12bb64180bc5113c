"""LMs that a program holds: described, never with a key, a header or an address.

An LM comes by name or from the donor, if it has the same. A `dspy.LM` of a provider's
own address is else made again from its description; any other one refuses calls.
"""

from collections.abc import Mapping
from typing import Any

import dspy

from po_optimizer.errors import ArtifactError, SettingError, listed
from po_optimizer.persistence.codec.imports import import_path
from po_optimizer.persistence.codec.values import (
    ABSENT,
    Decoder,
    Encoder,
    Node,
    NotStored,
    decodes,
    encodes,
    is_json,
)

_GENERATION = frozenset(
    {
        *("temperature", "max_tokens", "max_completion_tokens", "top_p", "top_k"),
        *("min_p", "n", "stop", "seed", "presence_penalty", "frequency_penalty"),
        *("repetition_penalty", "logprobs", "top_logprobs", "reasoning_effort"),
        *("rollout_id", "num_ctx", "verbosity", "response_format", "reasoning"),
        *("thinking", "logit_bias", "modalities", "parallel_tool_calls", "tool_choice"),
    }
)
_SETTINGS: dict[str, type] = {
    **{"model_type": str, "cache": bool, "num_retries": int},
    "use_developer_role": bool,
}
_FROM_ENVIRONMENT = frozenset({"api_key"})  # what a rebuilt LM finds by itself


class MissingLM(NotStored):
    """A placeholder for an LM that could not be made again, with its description."""

    def __init__(self, where: str, node: Node) -> None:
        left_out = node.get("left_out") or []
        hint = f", whose {', '.join(map(str, left_out))} a document never holds"
        what = f"the LM {node['model']!r}{hint if left_out else ''}"
        super().__init__(where, "lm", what)
        self.__dict__["node"] = node


@encodes("dspy.clients.base_lm.BaseLM+")
def _encode_lm(encoder: Encoder, value: Any, where: str) -> Node:
    node = describe_lm(value)
    if not _can_rebuild(node):
        _list(encoder, node, where)
    return {**node, "where": where}


def _list(encoder: Encoder, node: Node, where: str) -> None:
    what = f"{node['class']} {node['model']}"
    encoder.not_stored.append({"where": where, "kind": "lm", "what": what})


@encodes(f"{__name__}.MissingLM")
def _encode_missing(encoder: Encoder, value: MissingLM, _where: str) -> Node:
    _list(encoder, value.node, value.where)
    encoder.placeholders.append(value)
    return dict(value.node)


def describe_lm(lm: dspy.BaseLM) -> Node:
    """Class, model and generation arguments of an LM; the rest by its names only."""
    kwargs = {k: v for k, v in getattr(lm, "kwargs", {}).items() if v is not None}
    generation = {k: v for k, v in kwargs.items() if k in _GENERATION and is_json(v)}
    left_out = sorted(kwargs.keys() - generation.keys())
    if getattr(lm, "_engine_spec", "auto") not in ("auto", "lm15", "litellm"):
        left_out.append("engine")
    settings = {
        name: getattr(lm, name)
        for name, kind in _SETTINGS.items()
        if isinstance(getattr(lm, name, None), kind)
    }
    return {
        "$": "lm",
        "class": import_path(type(lm)),
        "model": str(getattr(lm, "model", "")).partition("://")[0],
        "settings": settings,
        "generation": generation,
        "left_out": left_out,
    }


def _can_rebuild(node: Node) -> bool:
    return (
        node["class"] == import_path(dspy.LM)
        and not set(node["left_out"]) - _FROM_ENVIRONMENT
        and ":" not in str(node["model"]).partition("/")[0]
    )


@decodes("lm")
def _decode_lm(decoder: Decoder, node: Node, donor: Any) -> Any:
    where = str(node.get("where", ""))
    if not decoder.compare:
        named = _by_name(decoder.lms, where, str(node["model"]))
        if named is not None:
            return named
        if _same(donor, node, where):
            return donor  # which may have a key of its own
    elif donor is ABSENT:
        return MissingLM(where, node)
    if _can_rebuild(node):
        settings = {n: node["settings"][n] for n in _SETTINGS if n in node["settings"]}
        arguments = {k: v for k, v in node["generation"].items() if k in _GENERATION}
        return dspy.LM(str(node["model"]), **settings, **arguments)
    missing = MissingLM(where, node)
    decoder.missing.append(missing)
    return missing


def _by_name(lms: Mapping[str, Any], where: str, model: str) -> Any:
    """The LM given for an attribute, `final` or `final.lm`, or for a model's name."""
    path = where.removeprefix("self.")
    holders = (path.removesuffix(".lm"), path.removesuffix(".predict.lm"))
    for name in (path, *holders, model):
        if name in lms:
            if not isinstance(lms[name], dspy.BaseLM):
                raise SettingError(
                    f"lms[{name!r}]", lms[name], "it is no dspy.LM", "Give one."
                )
            return lms[name]
    return None


def _same(donor: Any, node: Node, where: str) -> bool:
    """Whether the donor's LM is the one that was saved.

    Raises:
        ArtifactError: It is another one, and the saved one cannot be made again.
    """
    if not isinstance(donor, dspy.BaseLM):
        return False
    given = describe_lm(donor)
    parts = ("model", "settings", "generation")
    differing = [name for name in parts if given[name] != node.get(name)]
    names = [str(n["class"]).partition(":")[2] for n in (given, node)]
    differing += ["class"] if names[0] != names[1] else []
    if _can_rebuild(node):
        return _can_rebuild(given) and not differing
    if differing and "settings" in node:  # version 1 knew the class only
        changes = [f"{n}: {node.get(n)} saved, {given[n]} given" for n in differing]
        raise ArtifactError(
            f"{where} is another LM than in the stored program ({listed(changes)}). "
            "Give a program with the LM that was saved, or name one with lms=..."
        )
    return True
