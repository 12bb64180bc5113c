"""The embedded LM: on loopback, shared, stopped, and readable under a schema."""

import importlib.util
import json
import socket
import urllib.request
from http.client import HTTPConnection

import dspy
import pytest

from po_optimizer.errors import SettingError
from po_optimizer.lms.build import make_lm
from po_optimizer.lms.embedded import calibration, server
from po_optimizer.lms.embedded.server import EmbeddedServer, serve, stop_servers
from po_optimizer.lms.lm import use_lm
from po_optimizer.params.lm import EmbeddedParams, LMParams
from tests.weights import SMALL, WEIGHTS, needs_weights


def small(**changes):
    """An LM on the smallest weights."""
    known = {"embedded": SMALL, "max_tokens": 60, "context_tokens": 1024}
    return LMParams(**{**known, **changes})


@pytest.fixture(autouse=True, scope="module")
def no_server_remains():
    """The tests end without a server; those after the stops share one."""
    yield
    stop_servers()


def reachable(address):
    """True if something listens there."""
    host, port = address.removeprefix("http://").split(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def test_taken_port_is_refused(tmp_path):
    """The error names lm.embedded.port, before the weights are read."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        params = EmbeddedParams(port=taken.getsockname()[1])
        with pytest.raises(SettingError, match=r"lm.embedded.port=\d+.*or 0"):
            EmbeddedServer(tmp_path / "never-read.gguf", params, 512)


def test_file_that_is_no_model_is_refused(tmp_path):
    """The runtime's refusal becomes an error that names the file."""
    path = tmp_path / "no.gguf"
    path.write_bytes(b"not a model")
    with pytest.raises(SettingError, match=r"no\.gguf.*is a GGUF model"):
        EmbeddedServer(path, EmbeddedParams(), 512)


@needs_weights
def test_stopped_server_refuses_connections():
    """After stop_servers nothing listens, and the next use starts a new one."""
    address = serve(SMALL, 512)
    assert reachable(address)
    stop_servers()
    assert not reachable(address)
    assert reachable(serve(SMALL, 512))


@needs_weights
@pytest.mark.exhaustive
def test_server_can_be_stopped_as_soon_as_it_started():
    """Without waiting for its queue, one of about ten such stops never returned."""
    for _ in range(20):
        serve(SMALL, 512)
        stop_servers()


@needs_weights
def test_threads_are_measured_once_and_then_kept(tmp_path, monkeypatch):
    """The first start on a machine measures; what is kept names a speed and threads."""
    monkeypatch.setattr(server, "find_weights", lambda params: WEIGHTS)
    monkeypatch.setenv("PO_WEIGHTS_DIR", str(tmp_path))
    monkeypatch.setattr(server, "_cores", lambda: 2)
    monkeypatch.setattr(server, "_MEASURED", 4)
    monkeypatch.setattr(calibration, "_ROUNDS", 1)
    stop_servers()
    for context in (512, 768):
        serve(SMALL, context)
    stop_servers()
    (speed,) = json.loads((tmp_path / "speed.json").read_text()).values()
    assert speed["threads"] in {1, 2}
    assert min(speed["decoding"], speed["reading"]) > 0


@needs_weights
def test_chosen_port_is_used():
    """`lm.embedded.port` is where the server listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = serve(SMALL.model_copy(update={"port": port}), 512)
    assert address == f"http://127.0.0.1:{port}"
    with urllib.request.urlopen(f"{address}/health") as answer:  # noqa: S310
        assert json.load(answer)["status"] == "ok"


def post(address, body):
    """One chat request, and the server's answer."""
    data = json.dumps(body).encode()
    path = f"{address}/v1/chat/completions"
    key = {"Authorization": f"Bearer {server.KEY}"}
    request = urllib.request.Request(path, data, key)  # noqa: S310 -- loopback
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        return json.load(answer)


@needs_weights
def test_page_in_a_browser_gets_nothing():
    """Whatever it says its origin or host is: no key, no answer, nothing to read."""
    host = serve(SMALL, 1024).removeprefix("http://")
    chat = ("POST", "/v1/chat/completions", '{"messages": [], "max_tokens": 1}')
    requests = [chat, ("OPTIONS", chat[1], None)]
    requests += [("GET", path, None) for path in ("/slots", "/v1/models", "/props")]
    for method, path, body in requests:
        for headers in ({"Origin": "http://evil.example"}, {"Host": "evil.example"}):
            connection = HTTPConnection(host)
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            assert answer.status == 401 or method == "OPTIONS"
            assert answer.headers.get("Access-Control-Allow-Origin", "") == ""
            assert answer.headers.get("Access-Control-Allow-Credentials") != "true"
            connection.close()


def test_each_process_has_a_key_of_its_own():
    """Nobody can know it: it stands in no file."""
    spec = importlib.util.spec_from_file_location("another", server.__file__)
    another = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(another)
    assert len(another.KEY) > 40
    assert another.KEY != server.KEY


@needs_weights
def test_beginning_of_a_program_is_read_once():
    """Its instructions and demos are not read again for the next example."""
    address = serve(SMALL, 1024)
    system = {"role": "system", "content": "Name the color. " * 20}
    read = []
    for color in ("a red car", "a blue bike"):
        messages = [system, {"role": "user", "content": color}]
        answer = post(address, {"messages": messages, "max_tokens": 1})
        read.append(answer["timings"]["prompt_n"])
    assert read[0] > 60
    assert read[1] < 20


@needs_weights
def test_two_lms_share_one_server(tmp_path):
    """task_lm and prompt_lm on the same weights load them once, on loopback."""
    task = make_lm(small(), tmp_path, run_id="r")
    prompt = make_lm(small(temperature=0.7), tmp_path, run_id="r")
    task("Say yes.", max_tokens=2)
    prompt("Say no.", max_tokens=2)
    (running,) = [s for key, s in server._running.items() if key[1] == 1024]
    assert running.address.startswith("http://127.0.0.1:")
    assert task.meter.ledger.totals().paid == 2


@needs_weights
def test_answer_under_a_schema_is_readable(tmp_path):
    """A typed output comes back typed, from 135 million parameters, with its usage."""
    lm = make_lm(small(bounds={"items": 2}), tmp_path, run_id="r")
    signature = dspy.Signature("text -> colors: list[str]", "Name the colors.")
    with use_lm(lm, stage="test"):
        answer = dspy.Predict(signature)(text="A red car and a blue bike.")
    assert 0 <= len(answer.colors) <= 2
    assert all(isinstance(color, str) for color in answer.colors)
    (row,) = lm.meter.ledger.rows()
    assert 0 < row.completion_tokens <= 60
    assert row.cost_usd == 0.0
