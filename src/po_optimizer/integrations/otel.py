"""OpenTelemetry's GenAI spans of modules and LM calls, with the ledger's ids.

`with tracing(...)` in Python; `tracking.otel` in a project. The spans are those of
`opentelemetry-instrumentation-genai-dspy`; what prompts and answers say is not in them
unless its own variables ask for it.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import dspy
from kedro.framework.hooks import hook_impl

from po_optimizer.errors import needs_extra
from po_optimizer.lms.meter import CallScope, meter_of_run
from po_optimizer.params.project import OTelParams

with needs_extra("otel", "tracing by OpenTelemetry"):
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.genai.dspy import DSPyInstrumentor
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

_NAME = "po_optimizer"


class LedgerIds(SpanProcessor):
    """Gives each span the ids of its row in the ledger."""

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        """Adds what the call's scope says."""
        scope: CallScope = dspy.settings.get("po_call_scope") or CallScope()
        meter = meter_of_run()
        ids = {
            "run_id": meter.run_id if meter else None,
            "lm": meter.slug if meter else None,
            "stage": scope.stage,
            "optimization_id": scope.optimization_id,
            "trial": meter.trial if meter and scope.trial is None else scope.trial,
        }
        for name, value in ids.items():
            if value is not None:
                span.set_attribute(f"{_NAME}.{name}", value)


@contextmanager
def tracing(exporter: str = "otlp", endpoint: str | None = None) -> Iterator[None]:
    """Within the block DSPy's modules and LM calls are spans.

    Args:
        exporter: otlp or console.
        endpoint: Of the collector; None: as OpenTelemetry's own variables say.
    """
    provider = TracerProvider(resource=Resource.create({"service.name": _NAME}))
    sink = (
        OTLPSpanExporter(endpoint)
        if exporter == "otlp"
        else ConsoleSpanExporter(out=sys.stdout)
    )
    provider.add_span_processor(LedgerIds())
    provider.add_span_processor(BatchSpanProcessor(sink))
    instrumentor = DSPyInstrumentor()
    instrumentor.instrument(tracer_provider=provider)
    try:
        yield
    finally:
        instrumentor.uninstrument()
        provider.shutdown()


class TrackingHooks:
    """Kedro's hooks of this integration.

    Args:
        settings: `tracking.otel`.
    """

    def __init__(self, settings: Mapping[str, Any] | OTelParams) -> None:
        self._params = OTelParams.model_validate(settings)
        self._tracing = ExitStack()

    @hook_impl
    def before_pipeline_run(self) -> None:
        """Begins to trace."""
        params = self._params
        self._tracing.enter_context(tracing(params.exporter, params.endpoint))

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Sends what is left."""
        self._tracing.close()

    on_pipeline_error = after_pipeline_run
