"""What the Product Owner writes with the embedded LM, by the design of its program.

    python benchmarks/product_owner_designs.py [--examples 24] [--designs steps,by_id]

Designs: `one_call` writes both documents in one answer; `steps` asks for each section
and each requirement in a call; `by_id` is `steps` with one call for all requirements,
whose schema has their ids as keys; `no_demos` is `steps` without its examples.

Columns, means over the examples: the metric's score, its rubric and the mean of its
judged components, in [0, 1], higher is better; seconds of an example (the machine
should be quiet), LM calls and tokens written; the share of requirements that the review
names, in [0, 1]; sentences that stand in more than one place; the share of the longer
words of both documents that concept or requirements have, in [0, 1]; and the share of
examples that `make po` would warn of.
"""

import argparse
import json
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import dspy
from pydantic import BaseModel, Field, RootModel, create_model
from pydantic_core import core_schema

from po_optimizer.config_loader import ProjectConfigLoader
from po_optimizer.lms.build import make_lm
from po_optimizer.lms.lm import MeteredLM, use_lm
from po_optimizer.lms.selection import task_lm_params
from po_optimizer.product_owner.assembly import Finding
from po_optimizer.product_owner.doubts import doubts_about
from po_optimizer.product_owner.metric import product_owner_metric
from po_optimizer.product_owner.metric.judgement import (
    JUDGED_NAMES,
    shared_words,
    vision_texts,
)
from po_optimizer.product_owner.metric.requirement_ids import RequirementIds
from po_optimizer.product_owner.metric.rubric import review_entries
from po_optimizer.product_owner.program import ProductOwner
from po_optimizer.product_owner.record import ProductOwnerRecord
from po_optimizer.product_owner.schema import Requirements
from po_optimizer.product_owner.steps import ProductOwnerInSteps, Standing
from po_optimizer.settings import CONFIG_LOADER_ARGS

ROOT = Path(__file__).parents[1]
COLUMNS = (
    *("score", "rubric", "judged", "seconds", "calls", "tokens"),
    *("named", "repeated", "about", "doubted"),
)


class Judgement(BaseModel):
    """Where one requirement stands, and why."""

    standing: Standing
    reason: Annotated[str, Field(json_schema_extra={"maxLength": 60})]


class Judgements(RootModel[dict[str, Judgement]]):
    """A judgement by the requirement's id."""


class JudgeRequirements(dspy.Signature):
    """Judge each requirement against the idea of a product.

    aligned: it serves the idea. gap: it leaves something open. conflict: it contradicts
    the idea. The reason is short, in the language of the idea, and says why.
    """

    concept: str = dspy.InputField()
    requirements: str = dspy.InputField()
    judgements: Judgements = dspy.OutputField()


def judgements_of(ids: list[str]) -> Any:
    """The type whose schema has these ids as keys, and no other."""
    fields: dict[str, Any] = {
        f"of_{place}": (Judgement, Field(alias=name)) for place, name in enumerate(ids)
    }
    model = create_model("Judgements", **fields)

    class JudgementsById:
        @classmethod
        def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
            return core_schema.no_info_after_validator_function(
                lambda read: Judgements(read.model_dump(by_alias=True)), handler(model)
            )

    return JudgementsById


class ById(ProductOwnerInSteps):
    """One call for all requirements."""

    def __init__(self) -> None:
        super().__init__()
        by_concept: dict[str, list[Any]] = {}
        for demo in self.judge.demos:
            by_concept.setdefault(demo.concept, []).append(demo)
        self.judge = dspy.Predict(JudgeRequirements)
        self.judge.demos = [
            dspy.Example(
                concept=concept,
                requirements="\n".join(
                    f"R{n}: {demo.requirement}" for n, demo in enumerate(demos, 1)
                ),
                judgements=Judgements(
                    {
                        f"R{n}": Judgement(standing=demo.standing, reason=demo.reason)
                        for n, demo in enumerate(demos, 1)
                    }
                ),
            )
            for concept, demos in by_concept.items()
        ]

    def findings(self, concept: str, requirements: Requirements) -> list[Finding]:
        """The stored signature stays; the call's own allows these ids only."""
        listed = requirements.every
        signature = self.judge.signature.with_updated_fields(
            "judgements", type_=judgements_of([each.id for each in listed])
        )
        texts = "\n".join(f"{each.id}: {each.description}" for each in listed)
        judged = self.judge(signature=signature, concept=concept, requirements=texts)
        of = judged.judgements.root
        return [
            Finding(each, of[each.id].standing, of[each.id].reason) for each in listed
        ]


def without_demos() -> ProductOwnerInSteps:
    """The steps with their instructions alone."""
    program = ProductOwnerInSteps()
    for predictor in program.predictors():
        predictor.demos = []
    return program


DESIGNS = {
    "one_call": ProductOwner,
    "steps": ProductOwnerInSteps,
    "by_id": ById,
    "no_demos": without_demos,
}


def examples_of(number: int, seed: int) -> list[dspy.Example]:
    """Some of the shipped records."""
    lines = (ROOT / "data/01_raw/product_owner.jsonl").read_text("utf-8").splitlines()
    drawn = random.Random(seed).sample(lines, number)  # noqa: S311
    return [
        ProductOwnerRecord.model_validate(json.loads(x)).to_example() for x in drawn
    ]


def measured(program: dspy.Module, example: dspy.Example, lm: MeteredLM) -> list[float]:
    """The columns of one example; an answer that cannot be used earns 0."""
    before = lm.meter.ledger.totals(run_id="designs")
    started = time.perf_counter()
    try:
        with use_lm(lm, stage="evaluate"):
            prediction = program(**example.inputs())
    except dspy.utils.exceptions.AdapterParseError:
        prediction = None
    seconds = time.perf_counter() - started
    after = lm.meter.ledger.totals(run_id="designs")
    cost = [
        seconds,
        after.paid - before.paid,
        (after.completion_tokens or 0) - (before.completion_tokens or 0),
    ]
    if prediction is None:
        return [0.0, 0.0, 0.0, *cost, 0.0, 0.0, 0.0, 1.0]
    return [*_scores(example, prediction), *cost, *_reading(example, prediction)]


def _scores(example: dspy.Example, prediction: Any) -> list[float]:
    score = product_owner_metric(example, prediction)
    judged = statistics.mean(score.components[name] for name in JUDGED_NAMES)
    return [score.value, score.rubric or 0.0, judged]


def _reading(example: dspy.Example, prediction: Any) -> list[float]:
    vision, review = prediction.product_vision, prediction.product_owner_review
    requirements = Requirements.from_yaml(example.requirements_yaml)
    ids, entries = RequirementIds(requirements), review_entries(review.model_dump())
    doubts = doubts_about(example.concept, requirements, vision, review)
    texts = [*vision_texts(vision.model_dump()), *entries]
    return [
        len(ids.named_in(entries)) / max(1, len(ids)),
        sum(doubt.startswith("One sentence stands") for doubt in doubts),
        shared_words(texts, [example.concept, *requirements.texts]),
        float(bool(doubts)),
    ]


def main() -> None:
    """Prints each design's means after each example."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, default=24)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--designs", default=",".join(DESIGNS))
    parser.add_argument("--folder", default=None, help="keeps the answers")
    arguments = parser.parse_args()
    loader = ProjectConfigLoader(str(ROOT / "conf"), "base", **CONFIG_LOADER_ARGS)
    folder = Path(arguments.folder or tempfile.mkdtemp())
    print("design".ljust(10), *(name.rjust(8) for name in COLUMNS))
    for name in arguments.designs.split(","):
        program, rows = DESIGNS[name](), []
        params = task_lm_params(loader["parameters"])  # designs share no answers
        lm = make_lm(params, folder / name, run_id="designs")
        for example in examples_of(arguments.examples, arguments.seed):
            rows.append(measured(program, example, lm))
            means = map(statistics.mean, zip(*rows, strict=True))
            line = " ".join(f"{mean:8.2f}" for mean in means)
            print(f"{name.ljust(10)} {line}  n={len(rows)}", flush=True)


if __name__ == "__main__":
    main()
