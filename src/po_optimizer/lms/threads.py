"""How many calls an LM is asked at a time: as many as its server answers at once."""

from functools import cache
from logging import getLogger

from po_optimizer.lms.providers import ollama, openai_compatible
from po_optimizer.params import LMParams

logger = getLogger(__name__)

_UNTOLD = 4  # of a server that does not say: few that many people use take less


def num_threads(params: LMParams, api_key: str | None = None) -> int:
    """`lm.num_threads`, or what the server can do where that is 0.

    The embedded LM is never asked more at a time than it has slots: a call that waits
    for a slot gains nothing.

    Args:
        params: Of the LM.
        api_key: For a server that wants it before it says what it can do.

    Raises:
        SettingError: OLLAMA_NUM_PARALLEL is no number.
    """
    if params.provider == "embedded":
        slots = params.embedded.slots if params.embedded else 1
        return _at_most(slots, params.num_threads)
    return params.num_threads or _told(params, api_key) or _UNTOLD


def _told(params: LMParams, api_key: str | None) -> int | None:
    if params.provider == "ollama":
        return ollama.parallel()
    if params.provider == "openai":
        return openai_compatible.slots(params, api_key)
    return None


@cache  # so that it is said once, not by every node
def _at_most(slots: int, asked: int) -> int:
    if asked > slots:
        logger.warning(
            "lm.num_threads=%d, but lm.embedded.slots=%d: %d at a time are asked. "
            "Raise lm.embedded.slots for more",
            asked,
            slots,
            slots,
        )
    return min(asked, slots) or slots
