"""A temporary copy of the project, and a server that answers as an LM would.

Everything between the command line and the socket is the real thing: configuration,
catalog, LMs, ledger, optimizer, datasets.
"""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from shutil import copytree, ignore_patterns
from typing import Any

from po_optimizer.product_owner.schema import ProductOwnerReview, ProductVision

ROOT = Path(__file__).parents[2]
ENVIRONMENT = "openai-compatible"
SLUG = "openai-scripted"

SMALL = ",".join(
    [
        "data_prep.sizes.train=2",
        "data_prep.sizes.val=2",
        "data_prep.sizes.test=3",
        "optimize.miprov2.num_candidates=2",
        "optimize.miprov2.num_trials=1",
        "promotion.num_resamples=1000",
    ]
)
"""Parameters of a run that takes few calls."""

Answer = Callable[[str], str]
"""The whole prompt as text -> the LM's text."""


def copy_project(target: Path) -> Path:
    """A project of its own; Kedro refuses a linked source folder."""
    target.mkdir(parents=True, exist_ok=True)
    copytree(ROOT / "conf", target / "conf")
    copytree(ROOT / "data" / "01_raw", target / "data" / "01_raw")
    (target / "data" / "08_reporting").mkdir()  # the log is in it
    for name in ("pyproject.toml", ".telemetry"):
        (target / name).write_bytes((ROOT / name).read_bytes())
    for name in ("src", "roles", "notebooks"):
        leave = ignore_patterns("__pycache__", "*.egg-info")
        copytree(ROOT / name, target / name, ignore=leave)
    return target


def store_no_snapshots(project: Path, *, verify: str = "process") -> None:
    """Dill's snapshots take a process more, and are proven elsewhere."""
    catalog = project / "conf/base/catalog.yml"
    entries = catalog.read_text()
    assert "dill: write" in entries
    quick = f"dill: off\n  verify: {verify}"
    catalog.write_text(entries.replace("dill: write", quick))


@contextmanager
def answering(
    answer: Answer, model: str = "scripted", bodies: list[Any] | None = None
) -> Iterator[str]:
    """A chat-completions server on loopback that lists one model; its base URL.

    What it was sent goes into `bodies`.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if bodies is not None:
                bodies.append(json.loads(body))
            prompt = "\n".join(_text(one) for one in json.loads(body)["messages"])
            self._send(_completion(prompt, answer(prompt)))

        def do_GET(self) -> None:
            self._send({"object": "list", "data": [{"id": model}]})

        def log_message(self, *args: object) -> None:
            """Silent."""

        def _send(self, document: object) -> None:
            data = json.dumps(document).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()


def kedro(
    project: Path,
    *arguments: str,
    base_url: str | None = None,
    environment: str | None = None,
    most_seconds: float = 300,
    **more: str,
) -> subprocess.CompletedProcess[str]:
    """`kedro ...` in the project; with a base URL, LMs are asked there.

    Args:
        project: Where it is run.
        arguments: Of the command.
        base_url: Of the LM server.
        environment: For commands without `--env`.
        most_seconds: After them it is taken for hung.
        more: Environment variables.
    """
    variables = _variables(base_url) | more
    if environment:
        variables["KEDRO_ENV"] = environment
    return subprocess.run(  # noqa: S603 -- our own interpreter
        [sys.executable, "-m", "kedro", *arguments],
        cwd=project,
        env=variables,
        capture_output=True,
        text=True,
        timeout=most_seconds,
        check=False,
    )


def kedro_begun(project: Path, *arguments: str, base_url: str) -> subprocess.Popen[str]:
    """`kedro ...` that runs on, in a process group of its own, as in a terminal."""
    return subprocess.Popen(  # noqa: S603 -- our own interpreter
        [sys.executable, "-m", "kedro", *arguments],
        cwd=project,
        env=_variables(base_url),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def in_the_middle(run: subprocess.Popen[str], is_there: Callable[[], object]) -> None:
    """Waits until a begun run is at what a test waits for, or has ended."""
    deadline = time.monotonic() + 120
    while not is_there() and run.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)


def press_ctrl_c(run: subprocess.Popen[str]) -> None:
    """As a terminal does: the whole process group gets the signal."""
    os.killpg(run.pid, signal.SIGINT)


def _variables(base_url: str | None) -> dict[str, str]:
    variables = {**os.environ, "DO_NOT_TRACK": "true", "COLUMNS": "200"}
    if base_url:
        variables |= {"PO_LM_BASE_URL": base_url, "PO_LM_MODEL": "scripted"}
        variables |= {"PO_LM_API_KEY": "canary-not-a-key"}
    return variables


def product_owner_answers(project: Path) -> Answer:
    """Answers with the data set's references; to the proposer, with an instruction."""
    lines = (project / "data/01_raw/product_owner.jsonl").read_text().splitlines()
    references = {
        record["input"]["concept"]: record["output"]
        for record in map(json.loads, lines)
    }

    def answer(prompt: str) -> str:
        if "product_owner_review" not in prompt.rsplit("Respond with", 1)[-1]:
            return proposal(prompt)
        asked = max(references, key=prompt.rfind)
        return json.dumps(typed(references[asked]))

    return answer


def support_desk_answer(prompt: str) -> str:
    """Right once an instruction or demo helps; half right for the baseline."""
    if "category" not in prompt.rsplit("Respond with", 1)[-1]:
        return proposal(prompt)
    lines = (ROOT / "roles/support_desk" / "records.jsonl").read_text().splitlines()
    records = {one["message"]: one for one in map(json.loads, lines)}
    asked = records[max(records, key=prompt.rfind)]
    helped = "with care" in prompt
    urgency = asked["urgency"] if helped else "normal"
    return json.dumps({"category": asked["category"], "urgency": urgency})


def return_form_answer(prompt: str) -> str:
    """Writes order number and product as the demos of the prompt do; has no other."""
    *before, last = prompt.split("[[ ## message ## ]]")
    message = last.partition("Respond with")[0].strip()
    lines = (ROOT / "roles/return_form/records.jsonl").read_text().splitlines()
    records = {record["message"]: record for record in map(json.loads, lines)}
    thing = records.get(message, {"product": "thing", "quantity": 1})
    demos = re.findall(r'"order_number": "([^"\d]*)\d', " ".join(before))
    prefix = demos[0] if demos else "No. "
    digits = re.search(r"(\d\D?){5}", message)
    number = re.sub(r"\D", "", digits[0]) if digits else ""
    product = thing["product"] if demos else thing["product"].upper()
    form = {"order_number": prefix + number, "product": product}
    return json.dumps({**form, "quantity": thing["quantity"]})


def triage_answer(prompt: str) -> str:
    """Right about orders, and with demos about all."""
    message = prompt.rpartition("[[ ## message ## ]]")[2].partition("Respond")[0]
    kinds = {"send": "order", "broken": "complaint", "large": "question"}
    right = next((kind for word, kind in kinds.items() if word in message), "")
    learned = right == "order" or prompt.count("[[ ## message ## ]]") > 2
    answers = {"category": right if learned else "other"}
    if "proposed_instruction" in prompt:
        answers = {"proposed_instruction": "Sort it."}
    fields = (f"[[ ## {name} ## ]]\n{text}\n\n" for name, text in answers.items())
    return "".join(fields) + "[[ ## completed ## ]]"


def typed(output: dict[str, str]) -> dict[str, object]:
    """A record's reference outputs as the program's typed fields."""
    return {
        "product_vision": ProductVision.from_yaml(
            output["product_vision"]
        ).model_dump(),
        "product_owner_review": ProductOwnerReview.from_yaml(
            output["product_owner_review"]
        ).model_dump(),
    }


def proposal(prompt: str) -> str:
    """What the proposer is answered: an instruction, or a text for each question."""
    text = f"Judge every requirement with care, variant {len(prompt) % 100}."
    names = ("proposed_instruction", "program_description", "module_description")
    return json.dumps(dict.fromkeys([*names, "observations", "summary"], text))


def _text(message: dict[str, object]) -> str:
    content = message["content"]
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)  # type: ignore[attr-defined]


def _completion(prompt: str, text: str) -> dict[str, object]:
    used = {
        "prompt_tokens": len(prompt.split()),
        "completion_tokens": len(text.split()),
    }
    message = {"role": "assistant", "content": text}
    return {
        "id": "1",
        "object": "chat.completion",
        "created": 0,
        "model": "scripted",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {**used, "total_tokens": sum(used.values())},
    }
