"""OpenTelemetry's spans of an optimization, as a collector receives them."""

import gzip
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import dspy
import pytest
import yaml

from po_optimizer import optimize
from po_optimizer.lms.ledger import Ledger
from po_optimizer.roles.build import load_metric, make_program
from tests.faces.project import ROOT
from tests.programs.cases import CASES
from tests.programs.server import serving

collector = pytest.importorskip(
    "opentelemetry.proto.collector.trace.v1.trace_service_pb2",
    reason="make test-integrations installs it",
)
pytest.importorskip("opentelemetry.instrumentation.genai.dspy")

from po_optimizer.integrations.otel import tracing  # noqa: E402

pytestmark = pytest.mark.integrations


@contextmanager
def collecting():
    """An OTLP collector: its address, and the spans it was sent as (name, ids)."""
    spans = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            request = collector.ExportTraceServiceRequest.FromString(body)
            for resource in request.resource_spans:
                for scope in resource.scope_spans:
                    spans.extend(map(described, scope.spans))
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args):
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/traces", spans
    finally:
        server.shutdown()
        server.server_close()


def described(span):
    """A span's name and attributes."""
    values = {}
    for attribute in span.attributes:
        kind = attribute.value.WhichOneof("value")
        values[attribute.key] = getattr(attribute.value, kind) if kind else None
    return span.name, values


def test_spans_carry_the_ledgers_ids(tmp_path):
    """Every LM call of a trial is a span that names run, optimization and trial."""
    case = CASES["module_level_object"]
    with serving() as server, collecting() as (address, spans):
        lm = dspy.LM("openai/scripted", api_base=server.address, api_key="none")
        with tracing(endpoint=address):
            result = optimize(
                make_program(case.role(), None),
                trainset=case.split(0, 6),
                valset=case.split(6, 12),
                metric=load_metric(case.role()),
                lm=lm,
                folder=tmp_path,
                num_candidates=2,
                num_trials=2,
            )
    (path,) = tmp_path.rglob("ledger.sqlite")
    rows = [row for row in Ledger(path).rows() if row.trial is not None]
    ids = [
        (
            values["po_optimizer.run_id"],
            values["po_optimizer.optimization_id"],
            values["po_optimizer.trial"],
        )
        for name, values in spans
        if "po_optimizer.trial" in values
        and values.get("gen_ai.operation.name") == "chat"
    ]
    expected = [(row.run_id, row.optimization_id, row.trial) for row in rows]
    assert sorted(ids) == sorted(expected)
    assert {one[1] for one in ids} == {result.report.optimization_id}


def test_console_shows_spans(capsys):
    """Without a collector the spans are printed."""
    with serving() as server, tracing("console"):
        lm = dspy.LM("openai/scripted", api_base=server.address, api_key="none")
        with dspy.context(lm=lm):
            dspy.Predict("question -> answer")(question="?")
    assert '"po_optimizer.stage": "outside"' in capsys.readouterr().out


def test_a_collector_out_of_reach_is_said_in_a_project():
    """OpenTelemetry logs that spans are lost, and the terminal shows its errors."""
    configured = yaml.safe_load((ROOT / "conf/logging.yml").read_text("utf-8"))
    logger = configured["loggers"]["opentelemetry"]
    assert (logger["level"], logger["handlers"][0]) == ("ERROR", "console")
