"""What the metric tells apart: mean scores of right, copied and damaged answers.

Run it with `python -m benchmarks.metric_families`; it asks no LM and takes about
15 seconds.
"""

import json
import re
import statistics
from collections.abc import Callable
from pathlib import Path

from po_optimizer.product_owner.metric import score_outputs
from po_optimizer.product_owner.record import ProductOwnerRecord
from po_optimizer.roles.score import Score

RECORDS = Path(__file__).parents[1] / "data" / "01_raw" / "product_owner.jsonl"
SHIFT = 61  # each record is answered with the reference of the 61st after it
FLIPPED = {
    "aligned": "needs_adjustment",
    "needs_adjustment": "aligned",
    "misaligned": "aligned",
}
COLUMNS = (
    "conflicts",
    "gaps",
    "verdict",
    "ids",
    "consistency",
    "grounding",
    "coherence",
)


def main() -> None:
    """Prints one line a family: objective (min, mean, max), rubric, components."""
    records = read_records()
    others = [*records[SHIFT:], *records[:SHIFT]]
    pairs = list(zip(records, others, strict=True))
    print(f"{'family':<38}  n  min   mean  max   rubric  {'  '.join(COLUMNS)}")
    report("reference", [answer(one, one) for one in records])
    report("reference of another record", [answer(one, two) for one, two in pairs])
    report("the same, both aligned", [answer(*p) for p in pairs if both_aligned(p)])
    report("status flipped", [damaged(one, flip_status) for one in records])
    report("ids removed", [damaged(one, remove_ids) for one in records])
    report("cut to 60 %", [damaged(one, cut) for one in records])
    report("empty", [damaged(one, lambda review: "") for one in records])


def read_records() -> list[ProductOwnerRecord]:
    """The shipped records."""
    lines = RECORDS.read_text(encoding="utf-8").splitlines()
    return [ProductOwnerRecord.model_validate(json.loads(line)) for line in lines]


def report(family: str, scores: list[Score]) -> None:
    """One line of the table; all figures in [0, 1], higher is better."""
    rubric = statistics.mean(score.rubric or 0.0 for score in scores)
    parts = [statistics.mean(s.components[name] for s in scores) for name in COLUMNS]
    cells = "  ".join(
        f"{part:>{len(name)}.3f}" for name, part in zip(COLUMNS, parts, strict=True)
    )
    mean = statistics.mean(scores)
    print(
        f"{family:<34}{len(scores):>5}  {min(scores):.3f} {mean:.3f} "
        f"{max(scores):.3f} {rubric:>7.3f}  {cells}"
    )


def answer(record: ProductOwnerRecord, given: ProductOwnerRecord) -> Score:
    """The score of one record's reference as the answer to another record."""
    return score_outputs(
        record.input.requirements,
        given.output.product_vision,
        given.output.product_owner_review,
        record.output.product_owner_review,
    )


def damaged(record: ProductOwnerRecord, damage: Callable[[str], str]) -> Score:
    """The score of a record's own reference with a damaged review text."""
    return score_outputs(
        record.input.requirements,
        record.output.product_vision,
        damage(record.output.product_owner_review.to_yaml()),
        record.output.product_owner_review,
    )


def both_aligned(pair: tuple[ProductOwnerRecord, ProductOwnerRecord]) -> bool:
    """The hardest case: the copied verdict and the empty conflicts are right."""
    return all(one.output.product_owner_review.status == "aligned" for one in pair)


def flip_status(review: str) -> str:
    """Another status, the rest unchanged."""
    return re.sub(
        r"\Astatus: (\w+)", lambda found: f"status: {FLIPPED[found[1]]}", review
    )


def remove_ids(review: str) -> str:
    """The requirement ids replaced by a word."""
    return re.sub(r"\b(?:N?FR|C)-?\d+\b", "this", review)


def cut(review: str) -> str:
    """The review as a token limit leaves it."""
    return review[: len(review) * 6 // 10]


if __name__ == "__main__":
    main()
