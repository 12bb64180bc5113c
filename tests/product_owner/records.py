"""The shipped records, and small documents of the tests' own."""

import functools
import json
from pathlib import Path
from typing import Any

from po_optimizer.params.project import RoleParams
from po_optimizer.product_owner.record import ProductOwnerRecord

PRODUCT_OWNER = RoleParams(
    program="po_optimizer.product_owner.program.ProductOwner",
    metric="po_optimizer.product_owner.metric.product_owner_metric",
    record="po_optimizer.product_owner.record.ProductOwnerRecord",
)
"""The role as `conf/base/roles/product_owner.yml` names it."""

SHIPPED = Path(__file__).parents[2] / "data" / "01_raw" / "product_owner.jsonl"

REQUIREMENTS = """
meta: {original_request: Lend garden tools between neighbors, also without network}
title: Tool sharing
functional_requirements:
- {id: FR001, description: Neighbors offer garden tools with a photo, priority: High}
- {id: FR002, description: Every loan is confirmed online at once, priority: High}
non_functional_requirements:
- {id: NFR001, description: Lending works without network, priority: High}
constraints:
- {id: C001, description: No personal address leaves the phone, priority: High}
"""


@functools.cache
def raw_records() -> tuple[dict[str, Any], ...]:
    """The 180 shipped records as they stand in the file."""
    lines = SHIPPED.read_text(encoding="utf-8").splitlines()
    return tuple(json.loads(line) for line in lines)


@functools.cache
def records() -> tuple[ProductOwnerRecord, ...]:
    """The same, checked."""
    return tuple(map(ProductOwnerRecord.model_validate, raw_records()))


def vision(**changed: Any) -> dict[str, Any]:
    """A vision that loses no point, with changes."""
    return {
        "product_name": "ShedShare",
        "product_summary": "Neighbors lend each other garden tools without network. "
        "A photo offers a tool, a handshake confirms the loan, and the phone keeps "
        "every personal address to itself.",
        "target_users": ["Neighbors with garden tools", "Neighbors without"],
        "value_proposition": ["Fewer tools bought", "Lending works offline"],
        "key_capabilities": ["Offers with a photo", "Loans without network"],
        "non_goals": ["Selling tools"],
        "success_metrics": ["50 loans a month", "No address disclosed"],
        "last_updated": "2025-02-24T00:00:00+00:00",
        **changed,
    }


def review(**changed: Any) -> dict[str, Any]:
    """The review of a careful Product Owner on REQUIREMENTS, with changes.

    `aligned`, `gaps` and `conflicts` may be given by name.
    """
    alignment = {
        "aligned": ["FR001 (offers)", "NFR001 (the wish)", "C001 (trust)", "All read"],
        "gaps": ["NFR001 does not say how long a phone may be offline."],
        "conflicts": ["FR002 needs a network for every loan, against NFR001."],
    }
    lists = {name: changed.pop(name, alignment[name]) for name in alignment}
    return {
        "status": "needs_adjustment",
        "summary": ["The offers fit.", "FR002 contradicts the wish."],
        "requirements_alignment": lists,
        "recommended_actions": ["Confirm loans later (FR002).", "Set a time limit."],
        "narrative": "The requirements carry the idea of lending between neighbors, "
        "but FR002 takes back what NFR001 promises: a loan that must be confirmed "
        "online at once cannot be made in a garden without network.",
        **changed,
    }
