"""The embedded LM through our whole path, and asked directly over HTTP.

    python benchmarks/embedded_throughput.py [--examples 8] [--rounds 3]

Three tables (`--tables 1 3` prints two), each with its alternatives in turn, so that
what else the machine does falls on all of them alike; printed are medians, and medians
of ratios.

1. Seconds per answer: our path (program, adapter, cache, ledger, engine, parsing)
   against a bare http.client that posts the same bytes to the same server. A ratio of
   1.0 is no overhead; the aim is at least 0.95. Product Owner answers, and answers of
   a few words, where overhead weighs most.
2. Seconds per answer with the server's prefix cache, and without.
3. Seconds for a block of examples with 1 and 2 slots, 1 and 2 threads for decoding.

No prompt is asked twice in a row, or the server would only have to decode.
"""

import argparse
import http.client
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from itertools import count
from pathlib import Path

import dspy

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.scripted import fixed_fields
from tests.servers.wire import serving
from tests.weights import SMALL

from po_optimizer.evaluation.predict import predict_all
from po_optimizer.lms.build import make_lm
from po_optimizer.lms.embedded.server import serve, stop_servers
from po_optimizer.lms.lm import MeteredLM, use_lm
from po_optimizer.params.lm import DecodingBounds, LMParams
from po_optimizer.product_owner.program import ProductOwner
from po_optimizer.product_owner.record import ProductOwnerRecord

RECORDS = Path(__file__).parents[1] / "data" / "01_raw" / "product_owner.jsonl"
PARAMS = LMParams(
    embedded=SMALL,
    bounds=DecodingBounds(items=1, item_characters=20, text_characters=40),
)
OUTPUTS = ("product_vision", "product_owner_review")
SIZES = [(1, 1), (1, 2), (2, 1), (2, 2)]  # slots, threads for decoding
BLOCK = 4  # examples

Ask = Callable[[int], float]
"""Number of an example -> seconds until its answer was there."""


def examples() -> list[dspy.Example]:
    """The records of the data set, the short ones first."""
    lines = RECORDS.read_text().splitlines()
    every = [ProductOwnerRecord.model_validate_json(line) for line in lines]
    made = [record.to_example() for record in every]
    return sorted(made, key=lambda one: len(one.requirements_yaml))


def product_owner(demo: dspy.Example) -> dspy.Module:
    """The baseline with one demo, as optimized programs have it."""
    program = ProductOwner()
    program.write.demos = [demo]
    return program


def questions(n: int) -> list[dspy.Example]:
    """Distinct small questions."""
    texts = [f"What is {number} plus {number + 7}?" for number in range(n)]
    return [dspy.Example(question=text).with_inputs("question") for text in texts]


def through_us(
    programs: Sequence[dspy.Module], given: list[dspy.Example], lm: MeteredLM
) -> Ask:
    """Asks as every stage of the pipeline does; several programs in turn."""

    def ask(number: int) -> float:
        clock = time.perf_counter()
        with use_lm(lm, stage="benchmark"):
            programs[number % len(programs)](**given[number].inputs())
        return time.perf_counter() - clock

    return ask


def directly(bodies: list[bytes], address: str) -> Ask:
    """Posts the same bytes, and no more."""
    host = address.removeprefix("http://")

    def ask(number: int) -> float:
        clock = time.perf_counter()
        with closing(http.client.HTTPConnection(host)) as connection:
            headers = {"Content-Type": "application/json"}
            connection.request("POST", "/v1/chat/completions", bodies[number], headers)
            answer = json.loads(connection.getresponse().read())
        assert answer["choices"][0]["message"]["content"]
        return time.perf_counter() - clock

    return ask


def recorded(
    program: dspy.Module, given: list[dspy.Example], answer: str, folder: Path
) -> list[bytes]:
    """What our path sends for each example, taken down by a server of ours."""
    with serving(lambda prompt: answer) as server:
        told = {"provider": "openai", "api_base": server.address, "num_threads": 1}
        lm = make_lm(PARAMS.model_copy(update=told), folder, run_id="recorded")
        for example in given:
            with use_lm(lm, stage="recorded"):
                program(**example.inputs())
        return server.bodies


def alternate(one: Ask, other: Ask, n: int) -> list[tuple[float, float]]:
    """Seconds of both for each example: first one for the even, then the reverse."""
    one(n), other(n)  # the first call reads the constant part of the prompt
    seen: list[dict[Ask, float]] = [{} for _ in range(n)]
    for turn in (0, 1):
        for number in range(n):
            ask = one if (number + turn) % 2 == 0 else other
            seen[number][ask] = ask(number)
    return [(times[one], times[other]) for times in seen]


def line(name: str, pairs: Sequence[tuple[float, float]], aim: str = "") -> str:
    """Medians of both, and the median of the ratios of second to first."""
    first, second = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratio = statistics.median(after / before for before, after in pairs)
    return f"{name:28}  {len(pairs):3}  {first:7.3f}  {second:7.3f}  {ratio:6.3f} {aim}"


def path_against_server(folder: Path, n: int) -> None:
    """The first table."""
    print("answers                         n   ours_s  direct_s  direct/ours")
    demo, *others = examples()
    reference = {name: demo[name].model_dump() for name in OUTPUTS}
    cases: list[tuple[str, dspy.Module, list[dspy.Example], str]] = [
        ("Product Owner", product_owner(demo), others[: n + 1], json.dumps(reference)),
        (
            "a few words",
            dspy.Predict("question -> answer"),
            questions(5 * n + 1),
            fixed_fields(answer="42")(""),
        ),
    ]
    assert PARAMS.embedded is not None
    for name, program, given, answer in cases:
        bodies = recorded(program, given, answer, folder / f"recorded {name}")
        lm = make_lm(PARAMS, folder / name, run_id="ours")
        ours = through_us([program], given, lm)
        address = serve(PARAMS.embedded, PARAMS.context_tokens)
        print(line(name, alternate(ours, directly(bodies, address), len(given) - 1)))


def prefix_cache(folder: Path, n: int) -> None:
    """The second table."""
    print("\nprefix cache                    n     on_s    off_s  off/on")
    one, two, *given = examples()
    first, second = product_owner(one), product_owner(two)
    cases = {"one program": [first], "two programs in turn": [first, second]}
    for name, programs in cases.items():
        asks = []
        for on in (True, False):
            params = PARAMS.model_copy(update={"extra": {"cache_prompt": on}})
            lm = make_lm(params, folder / f"{name} {on}", run_id="prefix")
            asks.append(through_us(programs, given, lm))
        print(line(name, alternate(asks[0], asks[1], n)))


def slots_and_threads(folder: Path, rounds: int) -> None:
    """The third table."""
    print("\nslots  threads  block_s  of the first")
    demo, *others = examples()
    program, blocks = product_owner(demo), count()
    times: dict[tuple[int, int], list[float]] = {size: [] for size in SIZES}
    lms = {size: _sized(*size, folder) for size in SIZES}
    for number in range(rounds + 1):
        begin = next(blocks) * BLOCK
        given = others[begin : begin + BLOCK]
        for size in SIZES if number % 2 else reversed(SIZES):
            times[size].append(_block(program, given, lms[size]))
    for size, seconds in times.items():
        pairs = zip(times[SIZES[0]][1:], seconds[1:], strict=True)  # the first warms up
        ratio = statistics.median(own / first for first, own in pairs)
        taken = statistics.median(seconds[1:])
        print(f"{size[0]:5}  {size[1]:7}  {taken:7.1f}  {ratio:6.2f}")


def _sized(slots: int, threads: int, folder: Path) -> MeteredLM:
    embedded = SMALL.model_copy(update={"slots": slots, "threads": threads})
    params = PARAMS.model_copy(update={"embedded": embedded})
    return make_lm(params, folder / f"{slots} {threads}", run_id="sized")


def _block(program: dspy.Module, given: list[dspy.Example], lm: MeteredLM) -> float:
    clock = time.perf_counter()
    made = predict_all(
        program,
        given,
        lambda example, prediction, trace=None: 1.0,
        lm,
        stage="benchmark",
        n=len(given),
    )
    assert len(list(made)) == len(given)
    return time.perf_counter() - clock


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--examples", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tables", type=int, nargs="+", default=[1, 2, 3])
    chosen = parser.parse_args()
    tables: dict[int, Callable[[Path], None]] = {
        1: partial(path_against_server, n=chosen.examples),
        2: partial(prefix_cache, n=chosen.examples),
        3: partial(slots_and_threads, rounds=chosen.rounds),
    }
    with tempfile.TemporaryDirectory() as folder:
        for number in chosen.tables:
            tables[number](Path(folder))
            stop_servers()


if __name__ == "__main__":
    main()
