"""What one server alone understands, sent with every request (Ollama's num_ctx)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dspy.lm15 import Request, Response


class ExtraEngine:
    """An engine whose requests carry the server's own arguments.

    As arguments of dspy.LM they would be refused: DSPy hands a custom engine only
    what every provider knows. `Config.extensions` is its door for the rest.

    Args:
        engine: The engine that answers.
        extra: The server's arguments by its own names.
        temperature: Whether one is sent; optimizers choose some of their own.
    """

    def __init__(
        self, engine: Any, extra: Mapping[str, Any], *, temperature: bool = True
    ) -> None:
        self._engine = engine
        self._extra = dict(extra)
        self._temperature = temperature

    def complete(self, request: Request) -> Response:
        """The answer to the request with its extra arguments."""
        extensions = {**(request.config.extensions or {}), **self._extra}
        config = replace(request.config, extensions=extensions or None)
        if not self._temperature:
            config = replace(config, temperature=None)
        answer: Response = self._engine.complete(replace(request, config=config))
        return answer
