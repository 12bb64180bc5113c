"""The pipeline evaluate on a made-up testset: real nodes, real catalog, scripted LM.

    python -m tests.pipelines.evaluating FOLDER --n 60 --threads 4 --seconds 0.02

runs it in a process of its own, to be killed or measured.
"""

import argparse
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dspy
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner

from po_optimizer.config_loader import ProjectConfigLoader
from po_optimizer.lms.lm import MeteredLM
from po_optimizer.params.evaluate import EvaluateParams, PromotionParams
from po_optimizer.pipelines.evaluate import create_pipeline
from po_optimizer.settings import CONFIG_LOADER_ARGS
from tests.scripted import Answer, scripted_lm
from tests.small_role import Labeler, raw_record
from tests.test_small_role import ROLE

CONF = Path(__file__).parents[2] / "conf"
KINDS = ("tool", "book", "game")
TRIALS = [
    {"trial": 1, "kind": "baseline", "score": 0.5, "n": 3, "best": 0.5},
    {"trial": 2, "kind": "full_eval", "score": 0.9, "n": 3, "best": 0.9},
]
for number, trial in enumerate(TRIALS):
    trial |= {"instruction": [number], "demo_set": [0], "n_failed": 0}
    trial |= {"calls_paid": 0, "calls_cached": 0, "seconds": 0.0}


def answer(prompt: str) -> str:
    """Always readable; the optimized program's is right but for every seventh."""
    number = int(prompt[prompt.rfind("Item") + 4 :].split(maxsplit=1)[0])
    right = "with care" in prompt and number % 7
    product = f"Item{number}" if right else "Thing"
    return json.dumps({"label": {"product": product, "tags": ["x"]}})


def noted(path: Path, seconds: float) -> Answer:
    """The same after a while; each call that is begun is a line of the file."""

    def respond(prompt: str) -> str:
        with path.open("a") as file:
            file.write("asked\n")
        time.sleep(seconds)
        return answer(prompt)

    return respond


def optimized_program() -> dspy.Module:
    """A Labeler with another instruction."""
    program = Labeler()
    signature = program.label.signature.with_instructions("Name it with care.")
    program.label.signature = signature
    return program


def records(n: int, characters: int = 0) -> Iterator[dict[str, Any]]:
    """A testset of n records, each with a text of about so many characters."""
    for number in range(n):
        made = raw_record(number, KINDS[number % 3])
        filling = f"It has number {number}. "
        made["text"] = filling * (characters // len(filling)) + made["text"]
        yield made


def catalog_in(
    lm: MeteredLM,
    testset: Iterator[dict[str, Any]],
    champion: dspy.Module | None = None,
) -> DataCatalog:
    """The project's catalog; its files lie under the working directory."""
    entries = ProjectConfigLoader(str(CONF), env="base", **CONFIG_LOADER_ARGS)[
        "catalog"
    ]
    for entry in entries.values():
        entry.pop("credentials", None)
    catalog = DataCatalog.from_config(entries)
    given = {
        "optimized_program": optimized_program(),
        "champion_program": champion,
        "task_lm": lm,
        "trials": TRIALS,
        "preflight_report": {"checks": []},
        "optimization_report": {"spent": {}},
        "params:role": ROLE,
        "params:promotion": PromotionParams(),
        "params:evaluate": EvaluateParams(),
    }
    for name, value in given.items():
        catalog[name] = MemoryDataset(value, copy_mode="assign")
    catalog.save("testset", testset)
    return catalog


def evaluate(catalog: DataCatalog, only: str | None = None) -> None:
    """One run of the pipeline, or of one node of it."""
    pipeline = create_pipeline()
    SequentialRunner().run(pipeline.filter(node_names=only and [only]), catalog)


def main() -> None:
    """One run in a folder."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--n", type=int, default=60)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0.0)
    given = parser.parse_args()
    os.chdir(given.folder)
    lm = scripted_lm(
        noted(Path("asked"), given.seconds), Path("lm"), num_threads=given.threads
    )
    evaluate(catalog_in(lm, records(given.n)))


if __name__ == "__main__":
    main()
