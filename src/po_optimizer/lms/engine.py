"""How an LM is asked: each request is put in form and sent, each answer cleaned.

A small model left alone with an unbounded list or string writes until its token limit,
and the cut answer cannot be read. So the JSON schema of a request is bounded; what is
accepted as an answer stays the program's own matter.
"""

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from logging import getLogger
from typing import Any

from dspy.lm15 import (
    Config,
    InvalidRequestError,
    Message,
    Request,
    Response,
    TextPart,
    ThinkingPart,
    Usage,
)

from po_optimizer.errors import PoOptimizerError
from po_optimizer.lms.answer_repair import repair_answer, without_thoughts
from po_optimizer.lms.providers.base import Provider
from po_optimizer.lms.stops import LMNotReady
from po_optimizer.params.lm import DecodingBounds

logger = getLogger(__name__)

_WITHHELD = re.compile(
    r"content[ _-]?(filter|policy|management)|responsible ?ai|safety|prohibited_content"
    r"|blocklist|violat\w+ .*polic",
    re.IGNORECASE,
)
_NOTICES = {
    "length": "was cut at lm.max_tokens={most}; raise it if this happens often",
    "content_filter": "was withheld by the server's filter",
}


class ProviderEngine:
    """A DSPy engine that asks a provider's LM by the parameters.

    Each request is put in form: the schema is bounded, so that a small model finds an
    end, and the server's own arguments are added. As arguments of dspy.LM they would be
    refused, for DSPy hands a custom engine only what every provider knows;
    `Config.extensions` is its place for the others. Answers are cleaned: half
    characters are replaced, and thoughts are left out.

    Args:
        provider: Connected on first use, so that a run whose answers are all cached
            starts no server.
    """

    supports_function_calling = False
    supports_reasoning = False

    def __init__(self, provider: Provider) -> None:
        wanted = provider.params.structured_output
        self.provider = provider
        self.supports_response_schema = wanted == "json_schema"
        formats = set() if wanted == "none" else {"response_format"}
        self.supported_params = frozenset({"temperature", "max_tokens"} | formats)
        self._engine: Any = None
        self._arguments: dict[str, Any] = {}
        self._prepared: tuple[Config, Config] | None = None
        self._warned: set[str] = set()
        self._lock = threading.Lock()

    def connect(self) -> Any:
        """The engine that reaches the LM, made on first use.

        Raises:
            LMNotReady: A setting keeps the LM from being asked. DSPy would retry or
                swallow an ordinary error, and a wrong setting stays wrong.
        """
        with self._lock:
            if self._engine is None:
                try:
                    self._arguments = self.provider.request_arguments()
                    self._engine = self.provider.connect()
                except PoOptimizerError as error:
                    raise LMNotReady(error) from error
            return self._engine

    def complete(self, request: Request) -> Response:
        """The answer without thoughts, or an empty one that a filter withheld.

        Some servers report a filter as an HTTP error, others with `finish_reason`:
        both give the same empty answer.
        """
        try:
            answer = self.provider.ask(self.connect(), self._prepare(request))
        except InvalidRequestError as error:
            if not _is_withheld(error):
                raise
            answer = _empty(request)
        self._warn_of_part(answer.finish_reason, request.config.max_tokens)
        self._compare(request.model, answer.model)
        parts = tuple(_clean(answer.message.parts))
        if parts == answer.message.parts:
            return answer
        message = replace(answer.message, parts=parts or (TextPart(text=""),))
        return replace(answer, message=message)

    def _prepare(self, request: Request) -> Request:
        """The request as it is sent; the config of the last one, if it is the same."""
        config, last = request.config, self._prepared
        if last is None or last[0] != config:
            last = self._prepared = config, self._complete_config(config)
        return replace(request, config=last[1])

    def _complete_config(self, config: Config) -> Config:
        params = self.provider.params
        extensions = {**(config.extensions or {}), **self._arguments}
        config = replace(config, extensions=extensions or None)
        if params.temperature is None:  # optimizers choose some of their own
            config = replace(config, temperature=None)
        form = config.response_format
        if params.bounds and form is not None and "schema" in form:
            schema = bound_schema(form["schema"], params.bounds)
            config = replace(config, response_format={**form, "schema": schema})
        return config

    def _warn_of_part(self, reason: str, most: int | None) -> None:
        """Warns once for each reason why an answer is not complete."""
        if reason in _NOTICES and reason not in self._warned:
            self._warned.add(reason)
            notice = _NOTICES[reason].format(most=most)
            logger.warning("An answer of %s %s", self.provider.params.model, notice)

    def _compare(self, requested: str, answered: str) -> None:
        """Warns once if another model than the requested one answered."""
        requested_name, other = requested.split("/", 1)[-1].lower(), answered.lower()
        if (
            requested_name in other
            or other in requested.lower()
            or answered in self._warned
        ):
            return  # a version or a path beside the name is no other model
        if other.endswith(".gguf"):
            return  # llama.cpp names its weights' file, to whatever name it is asked by
        self._warned.add(answered)
        logger.warning(
            "%s was asked for, but the server says that %s answered; results are named "
            "after the first. If that is no alias, correct lm.model or the server",
            requested.split("/", 1)[-1],
            answered,
        )

    def __deepcopy__(self, memo: dict[int, object]) -> "ProviderEngine":
        """The same engine: a connection is not copied with a program."""
        return self


def _empty(request: Request) -> Response:
    return Response(
        id=None,
        model=request.model,
        message=Message(role="assistant", parts=(TextPart(text=""),)),
        finish_reason="content_filter",
        usage=Usage(),
    )


def _is_withheld(error: InvalidRequestError) -> bool:
    """Judged by the server's code, LiteLLM's class or the words of the error."""
    causes = (type(error.__cause__).__name__, error.provider_code or "", str(error))
    return any(_WITHHELD.search(_spaced(cause)) for cause in causes)


def _spaced(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)


def _clean(parts: tuple[Any, ...]) -> Iterator[Any]:
    for part in parts:
        if isinstance(part, TextPart):
            text = without_thoughts(repair_answer(part.text))
            yield part if text == part.text else replace(part, text=text)
        elif not isinstance(part, ThinkingPart):
            yield part


_SCHEMA = {"items", "additionalProperties", "contains", "not", "if", "then", "else"}
_SCHEMAS = {"anyOf", "oneOf", "allOf", "prefixItems"}
_NAMED_SCHEMAS = {"properties", "patternProperties", "$defs", "definitions"}


def bound_schema(schema: Any, bounds: DecodingBounds, *, in_list: bool = False) -> Any:
    """Bounds every list and string of a schema; tighter limits of its own are kept.

    A lower limit of the schema's own wins, or no answer could satisfy it.

    Args:
        schema: A JSON schema or a part of one; it is not changed.
        bounds: The most that lists and strings may hold.
        in_list: The schema is that of a list's items.
    """
    if not isinstance(schema, Mapping):
        return schema
    bounded = {key: _bound_part(key, part, bounds) for key, part in schema.items()}
    if schema.get("type") == "array":
        bounded["maxItems"] = _most(schema, "Items", bounds.items)
    if schema.get("type") == "string" and not {"enum", "const", "format"} & set(schema):
        most = bounds.item_characters if in_list else bounds.text_characters
        bounded["maxLength"] = _most(schema, "Length", most)
    return bounded


def _bound_part(key: str, part: Any, bounds: DecodingBounds) -> Any:
    """Bounds the schemas below one keyword; values and names stay as they are."""
    if key in _SCHEMA:
        return bound_schema(part, bounds, in_list=key == "items")
    if key in _SCHEMAS and isinstance(part, Sequence):
        return [bound_schema(item, bounds) for item in part]
    if key in _NAMED_SCHEMAS and isinstance(part, Mapping):
        return {name: bound_schema(item, bounds) for name, item in part.items()}
    return part


def _most(schema: Mapping[str, Any], limit: str, bound: int) -> int:
    own = schema.get(f"max{limit}", bound)
    return int(max(min(own, bound), schema.get(f"min{limit}", 0)))
