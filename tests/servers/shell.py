"""A user's shell in a copy of the project, where the commands of the docs are typed.

The copy is the project after `make install`. Ollama, Vertex AI and OpenAI-compatible
servers are the loopback server of `wire`, by the variables that users have for them.
The embedded LM takes minutes where that server takes seconds, so in the copy its
`serve` gives the server's address: all else of it is the real thing. Sizes that take
hours are smaller, by `_fillings`.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from po_optimizer.roles.scaffold import EXAMPLES
from tests.faces.commands import Command, blocks
from tests.faces.project import (
    ROOT,
    Answer,
    copy_project,
    product_owner_answers,
    return_form_answer,
    support_desk_answer,
)
from tests.servers import google
from tests.servers.wire import WireServer, serving

EMBEDDED = "embedded-smollm2-135m-instruct"
MODELS = [
    "mistral:7b-instruct",
    "granite4:latest",
    "qwen2.5-coder:32b",
    "phi4:14b",
    "my-model",
]
Done = subprocess.CompletedProcess[str]


class Shell:
    """Types commands; one with the same words is typed once.

    Args:
        folder: Where they are typed.
        server: Which all LMs are.
        variables: Of the shell.
    """

    def __init__(
        self, folder: Path, server: WireServer, variables: dict[str, str]
    ) -> None:
        self.folder = folder
        self.server = server
        self.variables = variables
        self.asked: dict[str, int] = {}  # LM calls of a line
        self._done: dict[Command, Done] = {}
        self._port = _free_port()

    def types(self, command: Command) -> Done:
        """What came of a command."""
        if command not in self._done:
            begun = len(self.server.chats)
            self._done[command] = subprocess.run(  # noqa: S603 -- our documentation
                ["bash", "-ec", self.filled(command)],  # noqa: S607
                cwd=self.folder,
                env=self.variables,
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
            self.asked[command.line] = len(self.server.chats) - begun
        return self._done[command]

    def shows(self, line: str, exports: tuple[str, ...] = ()) -> str:
        """What a command prints; it ends well, without a traceback."""
        done = self.types(Command(line, exports))
        text = done.stdout + done.stderr
        assert done.returncode == 0, text[-3000:]
        assert "Traceback" not in text, text[-3000:]
        return text

    def writes(self, *pages: str) -> None:
        """The YAML blocks that begin with a file's name, but those that want extras."""
        for text in (text for page in pages for text in blocks(page, "yaml")):
            name = text.partition("\n")[0].removeprefix("# ")
            if name.startswith("conf/") and "tracking:" not in text:
                (self.folder / name).parent.mkdir(exist_ok=True)
                (self.folder / name).write_text(self._ours(text))

    @contextmanager
    def running(self, line: str, ready: str) -> Iterator[None]:
        """A command that goes on until Ctrl-C, from when it prints that it is ready."""
        log = self.folder / f"{'_'.join(line.split()[:2])}.log"
        with (
            log.open("w") as output,
            subprocess.Popen(  # noqa: S603 -- our documentation
                ["bash", "-ec", self.filled(Command(line))],  # noqa: S607
                cwd=self.folder,
                env=self.variables,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            ) as process,
        ):
            try:
                end = time.monotonic() + 90
                while ready not in log.read_text():
                    assert process.poll() is None, log.read_text()[-3000:]
                    assert time.monotonic() < end, log.read_text()[-3000:]
                    time.sleep(0.1)
                yield
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGINT)

    def filled(self, command: Command) -> str:
        """The script, with our addresses, files and sizes for the examples'."""
        return self._ours("\n".join([*command.exports, command.line]))

    def _ours(self, text: str) -> str:
        for example, ours in self._fillings():
            text = text.replace(example, ours)
        return text

    def _fillings(self) -> Iterator[tuple[str, str]]:
        yield "http://127.0.0.1:8000/v1", f"{self.server.address}/v1"
        yield "http://10.0.0.2:11434", self.server.address
        yield "--host 10.0.0.1", f"--host 127.0.0.1 --port {self._port}"
        yield "10.0.0.1:8786", f"127.0.0.1:{self._port}"
        yield "GCP_PROJECT=my-project", f"GCP_PROJECT={google.PROJECT}"
        yield "<folder>", "records"
        yield "workers 4", "workers 1"
        yield "workers=4", "workers=2"
        yield "test=20000", "test=20"
        yield "train=60", "train=12"
        yield "val=34", "val=6"
        yield "{train: 60, val: 34}", "{train: 12, val: 6}"
        yield "kill_rounds 32", "kill_rounds 1"
        yield "--rounds 2000", "--rounds 2"
        yield "--rounds 500", "--rounds 2"
        yield "--rounds 100", "--rounds 1"
        yield "--worlds 200", "--worlds 8"
        yield "--repeats 5", "--repeats 1"
        yield "utilization.py", "utilization.py --repeats 1 --seconds 0.01"
        yield "large_evaluation.py", "large_evaluation.py --sizes 50"
        yield "--examples 1500", "--examples 50"
        yield "score_per_call.py", "score_per_call.py --seeds 1"
        yield "resume.py", "resume.py --rounds 1 --seconds 0.01"
        yield "memory.py", "memory.py --sizes 9"
        yield "--repeats 3", "--repeats 1"
        yield "dask_sweep", "dask_sweep --seconds 0 --workers 1 --configurations 1"
        yield "promote <run>", f"promote {self._latest_run()} --by Ada"
        yield "<run>", self._latest_run()
        for example in ("<version>", "2026-01-01T00.00.00.000Z"):
            yield example, self._first_version()

    def _latest_run(self) -> str:
        reporting = self.folder / f"data/08_reporting/product_owner/{EMBEDDED}"
        return max((path.name for path in reporting.glob("runs/*")), default="")

    def _first_version(self) -> str:
        stored = self.folder / f"data/06_models/product_owner/{EMBEDDED}/program.json"
        return min((path.name for path in stored.glob("*")), default="")


@contextmanager
def shell_in(folder: Path) -> Iterator[Shell]:
    """A shell in a copy of the project that is made in the folder."""
    project = copy_project(folder / "project")
    _add_what_git_has(project)
    _install(project / ".venv")
    _write_examples(project)
    with (
        serving(_answers(project)) as server,
        pytest.MonkeyPatch.context() as patch,
    ):
        server.models = MODELS
        _replace_embedded(project, server.address)
        google.log_in(patch, folder, server.address)
        yield Shell(project, server, _variables(project, server.address))


def _answers(project: Path) -> Answer:
    product_owner = product_owner_answers(project)

    def answer(prompt: str) -> str:
        if "How much is 1 + 1?" in prompt:  # `make test-live`
            return json.dumps({"answer": "2"})
        if "`order_number`" in prompt:  # `roles/return_form`
            return return_form_answer(prompt)
        if "`category`" in prompt:  # `roles/support_desk`
            return support_desk_answer(prompt)
        if "`answer`" in prompt:  # `po-optimizer new role faq`
            _, word = max(EXAMPLES, key=lambda example: prompt.rfind(example[0]))
            return json.dumps({"answer": word})
        return product_owner(prompt)

    return answer


def _add_what_git_has(project: Path) -> None:
    for name in ("README.md", "CONTRIBUTING.md", "LICENSE", "Makefile"):
        shutil.copy(ROOT / name, project)
    for name in ("constraints.txt", "zensical.toml"):
        shutil.copy(ROOT / name, project)
    leave = shutil.ignore_patterns("__pycache__", "aimock")
    for name in ("tests", "benchmarks", "docs", "scripts"):
        shutil.copytree(ROOT / name, project / name, ignore=leave)


def _install(venv: Path) -> None:
    """Lets the Makefile find the environment that runs these tests."""
    venv.mkdir()
    for name in ("bin", "lib", "pyvenv.cfg"):
        if (Path(sys.prefix) / name).exists():
            (venv / name).symlink_to(Path(sys.prefix) / name)
    (venv / ".installed").touch()


def _write_examples(project: Path) -> None:
    """The files that commands name as a user's own."""
    raw = project / "data/01_raw"
    (project / "path/to").mkdir(parents=True)
    for name in ("path/to/other.jsonl", "all.jsonl"):
        shutil.copy(raw / "product_owner.jsonl", project / name)
    example = raw / "requirements_example.yaml"
    shutil.copy(example, project / "path/to/requirements.yaml")


def _replace_embedded(project: Path, address: str) -> None:
    module = project / "src/po_optimizer/lms/embedded/server.py"
    ours = f"\n\ndef serve(params, context_tokens): return {address!r}\n"
    module.write_text(module.read_text() + ours)
    # a server that answers with whole documents is asked as LMs of its size are
    role = project / "conf/base/roles/product_owner.yml"
    role.write_text(
        role.read_text().replace("program.product_owner", "program.ProductOwner")
    )


def _variables(project: Path, address: str) -> dict[str, str]:
    aside = ("COV", "PYTEST", "PO_", "KEDRO", "USE_DSPY_PO", "CONCEPT")
    kept = {key: one for key, one in os.environ.items() if not key.startswith(aside)}
    return {
        **kept,
        "PATH": f"{project / '.venv/bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(project / "src"),
        "BROWSER": "true",  # of kedro-viz: the command `true`
        "DO_NOT_TRACK": "true",
        "COLUMNS": "200",
        "OLLAMA_BASE_URL": address,
        "VERTEXAI_API_BASE": address,
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
