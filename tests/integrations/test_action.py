"""The GitHub action's script: its verdict, and its comment on a loopback GitHub."""

import importlib.util
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml

from tests.faces.project import ROOT

_SPEC = importlib.util.spec_from_file_location("gate", ROOT / "action/gate.py")
gate = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(gate)

ESTIMATE = {"mean": 0.9, "n": 20, "interval": {"low": 0.8, "high": 0.95}}
EMPTY = {"mean": None, "n": 0, "interval": None}
REPORT = {
    "baseline": {"score": ESTIMATE, "n_failed": 2},
    "optimized": {"score": EMPTY, "n_failed": 0},
    "uplift": {"score": ESTIMATE},
}
PROMOTION = {"decision": "keep_baseline", "reasons": ["It is not proven."]}


class GitHub:
    """Comments of pull request 7, as GitHub's API gives and takes them."""

    def __init__(self):
        self.comments, self.tokens, self.url = [], set(), ""

    def answer(self, method, path, body):
        """What the API says to one request."""
        place = "/repos/us/ours/issues"
        if (method, path) == ("GET", f"{place}/7/comments?per_page=100"):
            return self.comments
        if (method, path) == ("POST", f"{place}/7/comments"):
            self.comments.append({"id": len(self.comments) + 1, **body})
        elif method == "PATCH" and path.startswith(f"{place}/comments/"):
            self.comments[int(path.rpartition("/")[2]) - 1] |= body
        else:
            raise AssertionError(method, path)
        return {}


@contextmanager
def serving_github():
    """The API on loopback."""
    github = GitHub()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self):
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or "null")
            github.tokens.add(self.headers["Authorization"])
            data = json.dumps(github.answer(self.command, self.path, body)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = _answer  # noqa: N815 -- the names are the library's

        def log_message(self, *args):
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    github.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield github
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def evaluated(tmp_path, monkeypatch):
    """A project whose gate writes a report and misses a bound."""
    monkeypatch.chdir(tmp_path)

    def run(python, environment, params):
        folder = tmp_path / "data/08_reporting/desk/openai-x"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "score_report.json").write_text(json.dumps(REPORT))
        (folder / "promotion.json").write_text(json.dumps(PROMOTION))
        return 4

    monkeypatch.setattr(gate, "run_gate", run)
    monkeypatch.setenv("GATE_PARAMS", "role=desk")


def test_verdict_is_printed_without_a_pull_request(evaluated, capsys):
    """Means, intervals, failures, decision and reasons; the exit code is the gate's."""
    assert gate.main() == 4
    text = capsys.readouterr().out
    assert "### po_optimizer gate: **failed** (exit code 4)" in text
    assert "| baseline | 0.900 | 0.800 to 0.950 | 20 | 2 |" in text
    assert "| optimized | - | - | 0 | 0 |" in text
    assert "Decision: **keep_baseline**\n- It is not proven." in text


def test_comment_is_written_once_and_then_replaced(evaluated, monkeypatch):
    """A second run replaces the first one's comment, and no other."""
    with serving_github() as github:
        monkeypatch.setenv("GITHUB_API_URL", github.url)
        monkeypatch.setenv("GITHUB_REPOSITORY", "us/ours")
        monkeypatch.setenv("GATE_PULL_REQUEST", "7")
        monkeypatch.setenv("GATE_TOKEN", "a-token")
        github.comments.append({"id": 1, "body": "a person's"})
        assert [gate.main(), gate.main()] == [4, 4]
    assert [c["body"][:8] for c in github.comments] == ["a person", "<!-- po_"]
    assert "gate: role=desk -->" in github.comments[1]["body"]
    assert github.tokens == {"Bearer a-token"}


def test_run_without_a_report_says_so():
    """A run that failed before it measured anything is no verdict on the program."""
    assert "No score report was written" in gate.describe(1, None)


def test_action_gives_the_script_what_it_reads():
    """Every variable of the script is set by the action, none by a shell's text."""
    action = yaml.safe_load((ROOT / "action/action.yml").read_text())
    (step,) = action["runs"]["steps"]
    source = (ROOT / "action/gate.py").read_text()
    names = [name for name in step["env"] if name.startswith("GATE_")]
    assert all(f'"{name}"' in source for name in names)
    assert "${{" not in step["run"]
