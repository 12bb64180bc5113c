"""Calls a second of a large evaluation over HTTP, against a loop that a person writes.

    python benchmarks/throughput.py [--examples 20000] [--seconds 0.05] [--threads 64]

A server on loopback, a process of its own, answers every request after so many
seconds. Each side is a process, too, and sends it the same prompts from as many
threads: `openai` is a loop with OpenAI's Python client, which fills the question into a
prompt and compares the answer, and keeps nothing; `DSPy's engine` is the same with
DSPy's HTTP client, below its LMs and programs; `dspy.Evaluate` runs a program of one
predictor with DSPy's cache; `ours` is `predict_all`, with ledger, cache and records.

Printed: calls a second, their ratio to the first side and to `dspy.Evaluate`,
milliseconds of the processor a call without the server's, and how much the resident
memory grew after the first tenth.
"""

import argparse
import asyncio
import json
import logging
import multiprocessing
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

SIDES = ("openai", "DSPy's engine", "dspy.Evaluate", "ours")
HOLE = "<the question>"
PART = 2000
"""Examples that a loop takes at a time."""


def serve(port: Any, seconds: float) -> None:
    """An OpenAI-compatible server; GET gives the last request."""
    text = {"role": "assistant", "content": '{"answer": "9"}'}
    usage = {"prompt_tokens": 150, "completion_tokens": 7, "total_tokens": 157}
    choice = {"index": 0, "finish_reason": "stop", "message": text}
    head = {"id": "1", "object": "chat.completion", "created": 1, "model": "m"}
    answer = json.dumps({**head, "choices": [choice], "usage": usage}).encode()
    last = b"{}"

    async def connected(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        nonlocal last
        while head := await reader.readline():
            size = 0
            while (line := (await reader.readline()).lower()).strip():
                if line.startswith(b"content-length:"):
                    size = int(line.split(b":")[1])
            body = answer
            if head.startswith(b"POST"):
                last = await reader.readexactly(size)
                await asyncio.sleep(seconds)
            else:
                body = last
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
            )
        writer.close()

    async def run() -> None:
        server = await asyncio.start_server(connected, "127.0.0.1", 0, backlog=256)
        port.put(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


def resident_mb() -> float:
    """Resident memory of this process, in MB of 10^6 bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024 / 1e6


def loop(
    ask: Callable[[str], str | None], questions: Iterator[str], threads: int
) -> None:
    """Asks all questions from so many threads; every answer must be right."""
    with ThreadPoolExecutor(threads) as pool:
        while part := list(islice(questions, PART)):
            assert all(
                json.loads(t or "")["answer"] == "9" for t in pool.map(ask, part)
            )


def measure(side: str, address: str, n: int, threads: int) -> None:
    """Evaluates in the working directory; prints seconds, processor seconds and MB."""
    import dspy  # noqa: PLC0415 -- only the child needs it
    import openai  # noqa: PLC0415
    from dspy.clients.engines.lm15_engine import LM15Engine  # noqa: PLC0415
    from dspy.lm15 import RouterConfig, request_from_openai_chat  # noqa: PLC0415

    from po_optimizer.evaluation.predict import predict_all  # noqa: PLC0415
    from po_optimizer.lms.build import make_lm  # noqa: PLC0415
    from po_optimizer.params.lm import LMParams  # noqa: PLC0415

    logging.disable(logging.INFO)
    memory: list[float] = []

    def questions() -> Iterator[str]:
        for i in range(n):
            if i in (n // 10, n - 1):
                memory.append(resident_mb())
            yield f"number {i}: " + "word " * 20

    def example(question: str) -> dspy.Example:
        return dspy.Example(question=question, answer="9").with_inputs("question")

    def metric(example: dspy.Example, prediction: dspy.Prediction, _: object = None):
        return float(prediction.answer == example.answer)

    program = dspy.Predict("question -> answer")
    at = {"api_base": address, "api_key": "none"}
    sent = {"temperature": 0.0, "max_tokens": 99}
    lm = dspy.LM("lm_studio/m", **at, **sent)
    with dspy.context(lm=lm.copy(cache=False), adapter=dspy.JSONAdapter()):
        program(question=HOLE)
    with urllib.request.urlopen(address) as reply:  # noqa: S310 -- loopback
        body = json.load(reply)

    def filled(question: str) -> dict[str, Any]:
        messages = [
            {**message, "content": message["content"].replace(HOLE, question)}
            for message in body["messages"]
        ]
        return {**body, "messages": messages}

    create = openai.OpenAI(base_url=address, api_key="none").chat.completions.create
    names = {"base_urls": {"openai-chat": address}, "api_keys": {"openai-chat": "none"}}
    complete = LM15Engine(RouterConfig(env={}, **names)).complete
    asks: dict[str, Callable[[str], str | None]] = {
        "openai": lambda q: create(**filled(q)).choices[0].message.content,
        "DSPy's engine": lambda q: (
            complete(
                request_from_openai_chat({**filled(q), "model": "openai/m"})
            ).message.text
        ),
    }
    for ask in asks.values():
        ask("what is loaded late is no part of the time")
    settings = {"provider": "openai", "model": "m", "num_threads": threads}
    ours = make_lm(LMParams(api_base=address, **settings, **sent), "lm", run_id="r")
    clock, processor = time.perf_counter(), time.process_time()
    if side in asks:
        loop(asks[side], questions(), threads)
    elif side == "ours":
        examples = map(example, questions())
        records = predict_all(program, examples, metric, ours, n=n, stage="measure")
        assert sum(record.score for record in records) == n
    else:
        dspy.configure_cache(disk_cache_dir="cache")
        with dspy.context(lm=lm, adapter=dspy.JSONAdapter()):
            devset = list(map(example, questions()))
            evaluate = dspy.Evaluate(devset=devset, metric=metric)
            evaluate(program, num_threads=threads, display_progress=False)
    taken = time.perf_counter() - clock, time.process_time() - processor
    print(*taken, resident_mb() - memory[0])


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--examples", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=0.05)
    parser.add_argument("--threads", type=int, default=64)
    parser.add_argument("--sides", choices=SIDES, nargs="+", default=SIDES)
    parser.add_argument("--address", help="of the server, for a side's own process")
    given = parser.parse_args()
    if given.address:
        measure(given.sides[0], given.address, given.examples, given.threads)
        return
    port = multiprocessing.Queue()
    server = multiprocessing.Process(
        target=serve, args=(port, given.seconds), daemon=True
    )
    server.start()
    address = f"http://127.0.0.1:{port.get()}/v1"
    print("side           calls/s  of first  of DSPy  cpu_ms/call  memory_MB")
    rates: dict[str, float] = {}
    for side in given.sides:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, Path(__file__).resolve(), *sys.argv[1:]]
            done = subprocess.run(  # noqa: S603 -- this file
                [*command, f"--address={address}", f"--sides={side}"],
                cwd=folder,
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
        seconds, processor, grown = map(float, done.stdout.splitlines()[-1].split())
        rates[side] = rate = given.examples / seconds
        of_dspy = rate / rates.get("dspy.Evaluate", float("nan"))
        print(
            f"{side:13} {rate:8.0f}  {rate / rates[given.sides[0]]:8.2f}"
            f"  {of_dspy:7.2f}  {processor / given.examples * 1000:11.2f}"
            f"  {grown:9.0f}",
            flush=True,
        )
    server.terminate()


if __name__ == "__main__":
    main()
