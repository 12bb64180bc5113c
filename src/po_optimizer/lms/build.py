"""From parameters to a MeteredLM."""

import re
from pathlib import Path
from typing import Any

from po_optimizer.lms.engine import MeteredEngine, PreparedEngine
from po_optimizer.lms.ledger import Ledger
from po_optimizer.lms.lm import MeteredLM
from po_optimizer.lms.meter import Meter
from po_optimizer.lms.providers import make_provider
from po_optimizer.params import LMParams


def lm_slug(provider: str, model: str) -> str:
    """Provider and model, fit for a path: lower case, digits, dots and dashes."""
    return re.sub(r"[^a-z0-9.]+", "-", f"{provider}-{model}".lower()).strip("-.")


def make_lm(
    params: LMParams, folder: str | Path, *, run_id: str, api_key: str | None = None
) -> MeteredLM:
    """A ready dspy.LM; nothing is asked or started before its first call.

    Args:
        params: Which model, how it is asked, how it is reached.
        folder: Where this LM's ledger and response cache lie.
        run_id: For the ledger.
        api_key: Kept in memory only.

    Raises:
        SettingError: There is no such provider.
    """
    provider = make_provider(params, api_key)
    slug, folder = lm_slug(params.provider, params.model), Path(folder)
    meter = Meter(Ledger(folder / "ledger.sqlite"), run_id, slug, secret=api_key)

    def connect() -> Any:
        arguments = provider.request_arguments()
        return PreparedEngine(provider.connect(), params, arguments)

    engine = MeteredEngine(
        connect,
        meter,
        provider.cost,
        json_schema=params.structured_output == "json_schema",
        json_object=params.structured_output != "none",
    )
    return MeteredLM(provider, engine, slug=slug, folder=folder)
