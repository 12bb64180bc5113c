"""Which LM plays which role: `lm` runs the program, `prompt_lm` may differ."""

import os
import re
from collections.abc import Mapping
from typing import Any

from po_optimizer.errors import SettingError
from po_optimizer.lms.providers import provider_class
from po_optimizer.params.base import checked
from po_optimizer.params.lm import DecodingBounds, LMParams

_REASONS = re.compile(r"o[1-9](-|$)|gpt-5(?!.*-chat)")
_DEFAULT_PROVIDER = LMParams.model_fields["provider"].default
_OF_ONE_PROVIDER = {
    *("api_base", "extra", "context_tokens", "structured_output", "num_threads"),
}
_OF_ONE_MODEL = {"embedded", "bounds", "price", "seconds_per_example"}


def task_lm_params(parameters: Mapping[str, Any]) -> LMParams:
    """What the parameters say of the LM that runs the program.

    Args:
        parameters: All parameters of the run; `lm` is read.

    Raises:
        PoOptimizerError: `lm` has a wrong key or value.
        SettingError: No model is named.
    """
    return _params(dict(parameters.get("lm") or {}), "lm")


def prompt_lm_params(parameters: Mapping[str, Any]) -> LMParams:
    """What the parameters say of the LM that writes instructions.

    It is `lm` with `prompt_lm`'s keys over it. With a provider or a model of its own
    it does not take from `lm` what is about that provider or model alone.

    Args:
        parameters: All parameters of the run; `lm` and `prompt_lm` are read.

    Raises:
        PoOptimizerError: `lm` or `prompt_lm` has a wrong key or value.
        SettingError: No model is named.
    """
    task = dict(parameters.get("lm") or {})
    own = dict(parameters.get("prompt_lm") or {})
    dropped: set[str] = set()
    if own.get("provider", task.get("provider")) != task.get("provider"):
        dropped = _OF_ONE_PROVIDER | _OF_ONE_MODEL | {"model"}
    elif own.get("model", task.get("model")) != task.get("model"):
        dropped = _OF_ONE_MODEL
    shared = {key: value for key, value in task.items() if key not in dropped}
    complete = set(own.get("bounds") or {}) == set(DecodingBounds.model_fields)
    if not complete and shared.get("bounds") is None:
        own.pop("bounds", None)  # a part of bounds goes over `lm`'s, if it has any
    if "model" in dropped and not own.get("model"):
        own["model"] = None
    return _params(_over(shared, own), "prompt_lm")


def _params(chosen: dict[str, Any], group: str) -> LMParams:
    if "model" in chosen and chosen["model"] is None:
        raise SettingError(
            "lm.model",
            None,
            "no model is named",
            "Set PO_LM_MODEL in the environment, or --params lm.model=... (of another "
            "LM for the prompts: prompt_lm.model).",
        )
    provider = provider_class(str(chosen.get("provider") or _DEFAULT_PROVIDER))
    variable = provider.address_variable
    if variable and chosen.get("api_base") is None:
        chosen["api_base"] = os.environ.get(variable) or None
    params = checked(LMParams, chosen, group)
    if not provider.has_own_weights:  # base names some, and bounds small models
        params = params.model_copy(update={"embedded": None, "bounds": None})
    _check_name(params)
    _check_temperature(params)
    return params


def _check_temperature(params: LMParams) -> None:
    """OpenAI's reasoning models refuse each prompt that comes with another one."""
    if params.temperature not in {None, 1.0} and _REASONS.match(
        params.model.rpartition("/")[2].lower()
    ):
        raise SettingError(
            "lm.temperature",
            params.temperature,
            f"{params.model} reasons, and takes no temperature but its own",
            "Set lm.temperature=null and prompt_lm.temperature=null.",
        )


def _check_name(params: LMParams) -> None:
    """Results are named after `lm.model`: it must not be another model's name."""
    weights = params.embedded
    if weights is None or weights.path or not weights.file:
        return  # a file of the user's own has the name that he gives it
    names = f"{weights.hub_repo or ''}/{weights.file}".lower()
    if params.model.lower() not in names:
        raise SettingError(
            "lm.model",
            params.model,
            f"the weights are those of {weights.file}",
            "For others set lm.embedded.path, or lm.embedded.hub_repo and file; for "
            "results apart with the same weights, folder_suffix in an environment.",
        )


def _over(base: dict[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in upper.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = _over(base[key], value) if both else value
    return merged
