"""What every provider has: how an LM is reached, asked, checked and priced."""

from collections.abc import Iterator, Mapping
from functools import cache
from logging import getLogger
from pathlib import Path
from typing import Any, ClassVar

from dspy.clients.call_result import usage_dict
from dspy.clients.legacy_outputs import value
from dspy.lm15 import Message, Request, Response, TextPart, Usage

from po_optimizer.lms.check import Check
from po_optimizer.lms.http import AnswerTransport
from po_optimizer.params.lm import LMParams

logger = getLogger(__name__)

FEW_AT_A_TIME = 4  # of a server that does not say: few that many people use take less


class Provider:
    """One kind of server: how it is reached, asked, checked and priced.

    Attributes:
        prefix: The word that DSPy or LiteLLM put before the model's name; "": the
            name of the model begins with it already.
        address_variable: The environment variable to use for `lm.api_base`.
        cuts_silently: It may cut a prompt that is too long without an error.
        has_own_weights: `lm.embedded` and `lm.bounds` are about it.

    Args:
        params: Which model, how it is asked, where it answers.
        api_key: Kept in memory only.
    """

    prefix: ClassVar[str] = ""
    address_variable: ClassVar[str | None] = None
    cuts_silently: ClassVar[bool] = False
    has_own_weights: ClassVar[bool] = False

    def __init__(self, params: LMParams, api_key: str | None = None) -> None:
        self.params = params
        self.api_key = api_key

    @classmethod
    def params_of(cls, name: str) -> LMParams | None:
        """Parameters for a model string from Python; None: `dspy.LM` handles it."""
        return None

    @property
    def model(self) -> str:
        """The model string of DSPy, provider/name."""
        return f"{self.prefix}/{self.params.model}".removeprefix("/")

    @property
    def where(self) -> str:
        """Which LM answers, without secrets."""
        address = self.params.api_base or "default endpoint"
        return f"{self.params.provider} {address}"

    def connect(self) -> Any:
        """An engine of DSPy's that asks the LM.

        Raises:
            PoOptimizerError: A setting keeps it from being asked.
        """
        raise NotImplementedError

    def ask(self, engine: Any, request: Request) -> Response:
        """The answer of the engine that `connect` gave."""
        answer: Response = engine.complete(request)
        return answer

    def check_provider(self) -> Iterator[Check]:
        """Checks that it can answer, without paying for a token."""
        yield from ()

    def request_arguments(self) -> dict[str, Any]:
        """What each request carries beside the chat, by the server's own names."""
        return self.params.extra

    def concurrency(self) -> int:
        """LM calls at a time: `lm.num_threads`, or as many as the server answers.

        Raises:
            SettingError: A variable that holds the number is no number.
        """
        return self.params.num_threads or self.slots() or FEW_AT_A_TIME

    def slots(self) -> int | None:
        """Requests that it answers at a time; None: it does not say."""
        return None

    @property
    def door(self) -> str | None:
        """DSPy's name of a kind that counts tokens in a way of its own."""
        return None

    def tokens(self, answer: Response) -> dict[str, Any]:
        """What an answer took, all that is paid for included, by OpenAI's names."""
        counts: dict[str, Any] = usage_dict(answer, self.door)
        return counts

    def cost(self, answer: Response) -> float | None:
        """US dollars of an answer; None: unknown.

        What the server itself says counts, then `lm.price`, then a price table.
        """
        stated = stated_cost((answer.provider_data or {}).get("usage"))
        if stated is not None:
            _say_stated(self.params.model)
            return stated
        counts, rates = self.tokens(answer), self.params.price
        prompt, completion = map(counts.get, ("prompt_tokens", "completion_tokens"))
        if not prompt or completion is None:  # no prompt has 0 tokens
            return None
        if rates is None:
            return self.list_price(answer)
        return float(prompt * rates.prompt + completion * rates.completion) / 1e6

    def list_price(self, answer: Response) -> float | None:
        """US dollars by a price table; None: no table has it."""
        return None

    @property
    def knows_cost(self) -> bool:
        """Whether a call's cost follows from its tokens."""
        text = Message(role="assistant", parts=(TextPart(text=""),))
        usage = Usage(input_tokens=1, output_tokens=1)
        model = self.params.model
        answer = Response(None, model, text, finish_reason="stop", usage=usage)
        return self.cost(answer) is not None

    def weights(self, folder: Path) -> str | None:
        """The digest of the weights; None: the server has none.

        Args:
            folder: Of the LM, where the digest may be remembered.
        """
        return None


@cache  # so that the log has it once
def _say_stated(model: str) -> None:
    logger.info("%s: the server says what each answer costs; that is counted", model)


def dspy_engine(
    door: str, address: str | None, key: Any, transport: AnswerTransport, **place: str
) -> Any:
    """DSPy's own client of one kind of server.

    Args:
        door: DSPy's name of the kind.
        address: Of the server; None: the kind's own.
        key: The key or token, or a function that gives it; variables of the
            environment that are not for this server are not read.
        transport: How it is reached.
        place: What the kind wants to know besides.
    """
    from dspy.clients.engines.lm15_engine import (  # noqa: PLC0415 -- not at import
        LM15Engine,
    )
    from dspy.lm15 import RouterConfig  # noqa: PLC0415

    config = RouterConfig(
        env={},
        base_urls={door: address} if address else None,
        api_keys={door: key},
        settings={door: place} if place else None,
        transport=transport,
    )
    return LM15Engine(config)


def stated_cost(usage: Any) -> float | None:
    """US dollars that a server says an answer cost; None: it does not say.

    As OpenRouter (which adds what its user's own account pays elsewhere), Perplexity
    and DeepInfra do in an answer's `usage`.
    """
    cost = value(usage, "cost")
    if isinstance(cost, Mapping):
        cost = cost.get("total_cost")
    dollars = _dollars(value(usage, "estimated_cost") if cost is None else cost)
    if dollars is not None and value(usage, "is_byok"):
        elsewhere = value(value(usage, "cost_details"), "upstream_inference_cost")
        paid = _dollars(elsewhere)
        return None if paid is None else dollars + paid
    return dollars


def _dollars(cost: Any) -> float | None:
    is_number = isinstance(cost, int | float) and not isinstance(cost, bool)
    return float(cost) if is_number and 0 <= cost < float("inf") else None
