"""What each provider needs before it can be asked, and what it costs."""

from collections.abc import Callable

from po_optimizer.lms.providers import litellm, ollama, openai_compatible, vertex
from po_optimizer.lms.providers.finding import Finding
from po_optimizer.params import LMParams

__all__ = ["Finding", "look_at_provider"]

_LOOKS: dict[str, Callable[[LMParams, str | None], list[Finding]]] = {
    "litellm": litellm.look,
    "ollama": ollama.look,
    "openai": openai_compatible.look,
    "vertex": vertex.look,
}


def look_at_provider(params: LMParams, api_key: str | None = None) -> list[Finding]:
    """Every finding, good and bad; empty for providers that need no look."""
    look = _LOOKS.get(params.provider)
    return look(params, api_key) if look else []
