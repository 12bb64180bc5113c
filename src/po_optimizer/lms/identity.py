"""Which LM is asked: its name in ledgers and folders, its endpoint, its secrets."""

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from po_optimizer.secret import environment_secrets, is_secret_argument

_SHORTEST_SECRET = 6
ADDRESSES = ("api_base", "base_url")
"""The arguments of an LM that say where it answers."""


@dataclass(frozen=True)
class LMIdentity:
    """Which LM is asked.

    Args:
        slug: Its name in the ledger.
        where: Its endpoint in words, without secrets.
        cache_folder: Of this endpoint's response cache.
        secrets: Keys, and addresses that may contain one.
    """

    slug: str
    where: str
    cache_folder: Path
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def in_no_error(self) -> tuple[str, ...]:
        """What no error may repeat, longest first: its secrets and the environment's.

        Libraries read keys from the environment by themselves.
        """
        texts = {*self.secrets, *(secret for _, secret in environment_secrets())}
        long = (text for text in texts if len(text) >= _SHORTEST_SECRET)
        return tuple(sorted(long, key=len, reverse=True))


def identify(lm: Any, folder: Path, options: Mapping[str, Any]) -> LMIdentity:
    """The identity of an LM that the project did not build.

    Args:
        lm: A `dspy.LM`, or an instance of a user's LM class.
        folder: Of the run's ledger; the caches of endpoints lie in it.
        options: Of this call; they go over the LM's.
    """
    model = model_name(lm)
    settings = {**(getattr(lm, "kwargs", None) or {}), **options}
    endpoint = "\n".join(
        [*_classes(lm), *_addresses(model, settings), *_headers(settings)]
    )
    name = hashlib.sha256(endpoint.encode()).hexdigest()[:12]
    return LMIdentity(
        slug_of(model),
        "its own endpoint",
        folder / "response_cache" / name,
        tuple(_secrets(model, settings)),
    )


def model_name(lm: Any) -> str:
    """The LM's model, or its class's name if it names none."""
    return str(getattr(lm, "model", None) or type(lm).__name__)


def slug_of(model: str) -> str:
    """The name as a part of a path: lower case, digits, dots and dashes."""
    return re.sub(r"[^a-z0-9.]+", "-", model.lower()).strip("-.")


def lm_slug(provider: str, model: str) -> str:
    """Provider and model as a part of a path."""
    return slug_of(f"{provider}-{model}")


def _classes(lm: Any) -> Iterator[str]:
    """The classes that answer, and the texts that an engine's object holds."""
    yield f"{type(lm).__module__}.{type(lm).__qualname__}"
    engine = getattr(lm, "engine", None)
    if not isinstance(engine, str | None):
        yield f"{type(engine).__module__}.{type(engine).__qualname__}"
        texts = getattr(engine, "__dict__", {}).items()
        yield from sorted(f"{k}={v}" for k, v in texts if isinstance(v, str))


def _addresses(model: str, settings: Mapping[str, Any]) -> list[str]:
    """Where the LM answers: its arguments, else the provider's variables."""
    addresses = [str(settings[name]) for name in ADDRESSES if settings.get(name)]
    provider = model.partition("/")[0].upper()
    names = (f"{provider}_{name.upper()}" for name in ADDRESSES)
    return addresses or [os.environ[name] for name in names if os.environ.get(name)]


def _headers(settings: Mapping[str, Any]) -> Iterator[str]:
    """What may choose who answers, and may be secret: no key of an answer has it."""
    for name, value in sorted(settings.items()):
        if "header" in name and isinstance(value, Mapping) and value:
            yield f"{name}={sorted(value.items())}"


def _secrets(model: str, settings: Mapping[str, Any]) -> Iterator[str]:
    """Keys, headers and addresses of an LM."""
    yield from _addresses(model, settings)
    for name, value in settings.items():
        if is_secret_argument(name, value):
            values = value.values() if isinstance(value, Mapping) else [value]
            yield from (text for text in values if isinstance(text, str))
