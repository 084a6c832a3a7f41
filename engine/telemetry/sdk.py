"""OpenTelemetry wired in one call: providers, exporters, samplers.

Owns: everything that touches the SDK and the OTLP exporters; nothing else imports them, and this
file is imported only by whoever wires a process. Must not: block a start, fail a run, or repeat
itself in the logs when nobody collects.

Call `setup` once a process and after the fork: in a worker from `after_process_boot`. Its threads
do not live on in a child.
"""

from __future__ import annotations

import atexit
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import urlsplit

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    MetricExporter,
    MetricExportResult,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    SpanExporter,
    SpanExportResult,
)
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_ON,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)

from engine.telemetry import names
from engine.telemetry.collector import Collector, Probe
from engine.telemetry.propagation import sample_ratio_from

_log = logging.getLogger("callboard.telemetry")

_EXPORT_TIMEOUT_S: Final = 5.0
_NOISY: Final = ("opentelemetry.exporter", "opentelemetry.sdk")


def setup(
    service_name: str,
    *,
    sample_ratio: float,
    endpoint: str | None = None,
    traces_file: str | os.PathLike[str] | None = None,
    announce: bool = True,
    install: bool = True,
    probe: Probe | None = None,
    environ: Mapping[str, str] | None = None,
) -> Telemetry:
    """Starts tracing and metrics for this process, and returns at once.

    `OTEL_*` variables are honoured: service name, resource attributes, sampler, protocol, headers,
    batch sizes and intervals win over the arguments; `endpoint` wins over
    `OTEL_EXPORTER_OTLP_ENDPOINT`, a signal's own endpoint variable over both.
    `OTEL_SDK_DISABLED=true` gives a `Telemetry` that does nothing. A provider that the host
    application has installed is left in place and used.

    Args:
        service_name: `service.name` of everything this process reports.
        sample_ratio: Share of runs that are traced, 0.0 to 1.0; see `Telemetry.sample_ratio`.
        endpoint: Base URL of an OTLP collector, for example `http://collector:4318`.
        traces_file: Writes spans as JSON lines there; without an endpoint, instead of exporting.
        announce: False for all but the first of several like processes: the missing collector
            is then told once, not once a process.
        install: Makes the providers the global ones; False in tests.
        probe: Stands in for the TCP connect, in tests.
        environ: None is `os.environ`.
    """
    environ = os.environ if environ is None else environ
    ratio = sample_ratio_from(environ, sample_ratio)
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return Telemetry(sample_ratio=0.0)
    if install and isinstance(trace.get_tracer_provider(), TracerProvider):
        return Telemetry(sample_ratio=ratio)
    quiet_exporters()
    collector = _collector(endpoint, traces_file, environ, announce, probe)
    resource = _resource(service_name, environ)
    telemetry = Telemetry(
        sample_ratio=ratio,
        collector=collector,
        tracer_provider=_tracer_provider(resource, ratio, collector, traces_file, environ),
        meter_provider=_meter_provider(resource, collector, environ),
    )
    telemetry.start(install=install)
    return telemetry


@dataclass(slots=True)
class Telemetry:
    """The telemetry of one process. Fields are None where there is nothing to feed.

    `sample_ratio` is the ratio in force, after the environment had its say: build the `Tracer`
    with it.
    """

    sample_ratio: float
    collector: Collector | None = None
    tracer_provider: TracerProvider | None = None
    meter_provider: MeterProvider | None = None
    _closed: bool = field(default=False, repr=False)

    def start(self, *, install: bool) -> None:
        """Makes the providers global if `install`, and asks for the collector in the background."""
        if install and self.tracer_provider is not None:
            trace.set_tracer_provider(self.tracer_provider)
        if install and self.meter_provider is not None:
            metrics.set_meter_provider(self.meter_provider)
        if self.collector is not None:
            _background("callboard-collector-probe", self.collector.reachable)
        atexit.register(self.shutdown, timeout_ms=2_000)

    def shutdown(self, timeout_ms: int = 5_000) -> bool:
        """Writes out what is buffered and stops; gives up after `timeout_ms`.

        Returns:
            False if time ran out: spans or metrics of the last seconds may be missing.
        """
        if self._closed:
            return True
        self._closed = True
        atexit.unregister(self.shutdown)
        # Neither provider takes a time limit, so each ends on a thread that we stop waiting for.
        ends = [
            _background("callboard-telemetry-end", provider.shutdown)
            for provider in (self.tracer_provider, self.meter_provider)
            if provider is not None
        ]
        give_up_at_s = time.monotonic() + timeout_ms / 1_000
        for end in ends:
            end.join(max(0.0, give_up_at_s - time.monotonic()))
        return not any(end.is_alive() for end in ends)


class SpanFile(SpanExporter):
    """Appends each span as one JSON line; several processes may share the file."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._path.parent.mkdir(parents=True, exist_ok=True)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Writes the batch in one piece; a full or unwritable disk drops it."""
        lines = "".join(f"{span.to_json(indent=None)}\n" for span in spans).encode()
        try:
            # One write to a file opened for appending is not torn by another process's.
            with self._path.open("ab", buffering=0) as file:
                file.write(lines)
        except OSError:
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS


class RunSampler(Sampler):
    """Keeps every run that its start decided to trace; samples foreign root spans by ratio.

    The engine decides before it makes a span, so a second roll of the dice here would lose runs.
    """

    def __init__(self, ratio: float) -> None:
        self._foreign = TraceIdRatioBased(ratio)

    def should_sample(
        self,
        parent_context: Any,
        trace_id: int,
        name: str,
        kind: Any = None,
        attributes: Any = None,
        links: Any = None,
        trace_state: Any = None,  # noqa: ARG002 - the SDK's signature
    ) -> SamplingResult:
        """Asked for root spans only; see `ParentBased`."""
        ours = bool(attributes) and attributes.get(names.MESSAGING_SYSTEM) == names.SYSTEM
        chosen = ALWAYS_ON if ours else self._foreign
        return chosen.should_sample(parent_context, trace_id, name, kind, attributes, links)

    def get_description(self) -> str:
        """Shown by the SDK where it names its sampler."""
        return f"RunSampler{{{self._foreign.get_description()}}}"


class _FirstWords(logging.Handler):
    """Passes on the first warning of the SDK and its exporters; the rest would repeat it."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._said = False

    def emit(self, record: logging.LogRecord) -> None:
        if not self._said:
            self._said = True
            _log.warning(
                "Exporting telemetry failed; runs are not affected and further such messages "
                "are not shown. %s: %s",
                record.name,
                record.getMessage()[:500],
            )


def quiet_exporters() -> None:
    """Lets the SDK and its exporters speak once a process, through our logger."""
    handler = _FirstWords()
    for name in _NOISY:
        logger = logging.getLogger(name)
        if not any(isinstance(old, _FirstWords) for old in logger.handlers):
            logger.addHandler(handler)
            logger.propagate = False


def _tracer_provider(
    resource: Resource,
    ratio: float,
    collector: Collector | None,
    traces_file: str | os.PathLike[str] | None,
    environ: Mapping[str, str],
) -> TracerProvider:
    provider = TracerProvider(
        sampler=ParentBased(RunSampler(ratio)), resource=resource, shutdown_on_exit=False
    )
    if traces_file is not None:
        provider.add_span_processor(
            BatchSpanProcessor(SpanFile(traces_file), schedule_delay_millis=500)
        )
    if collector is not None and _wanted("OTEL_TRACES_EXPORTER", environ):
        exporter = _span_exporter(collector.url, environ)
        _gate(exporter, collector, SpanExportResult.FAILURE)
        provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def _meter_provider(
    resource: Resource, collector: Collector | None, environ: Mapping[str, str]
) -> MeterProvider | None:
    if collector is None or not _wanted("OTEL_METRICS_EXPORTER", environ):
        return None
    exporter = _metric_exporter(collector.url, environ)
    _gate(exporter, collector, MetricExportResult.FAILURE)
    reader = PeriodicExportingMetricReader(exporter)
    return MeterProvider([reader], resource=resource, shutdown_on_exit=False)


def _gate(exporter: SpanExporter | MetricExporter, collector: Collector, refused: object) -> None:
    """Drops a batch at once while nobody collects, instead of ten seconds of retries for each."""
    export = cast("Callable[..., object]", exporter.export)

    def gated(*batch: object, **options: object) -> object:
        return export(*batch, **options) if collector.reachable() else refused

    # Set on the instance: a wrapper would have to copy the exporter's private preferences.
    setattr(exporter, "export", gated)  # noqa: B010


# A protocol's exporter is loaded when it is the one asked for.
def _span_exporter(url: str, environ: Mapping[str, str]) -> SpanExporter:
    if _is_grpc("TRACES", environ):
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter as Grpc,
        )

        return Grpc(endpoint=url, timeout=_timeout_s(environ))
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter as Http,
    )

    return Http(_signal_url(url, "TRACES", environ), timeout=_timeout_s(environ))


def _metric_exporter(url: str, environ: Mapping[str, str]) -> MetricExporter:
    if _is_grpc("METRICS", environ):
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import (  # noqa: PLC0415
            OTLPMetricExporter as Grpc,
        )

        return Grpc(endpoint=url, timeout=_timeout_s(environ))
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import (  # noqa: PLC0415
        OTLPMetricExporter as Http,
    )

    return Http(_signal_url(url, "METRICS", environ), timeout=_timeout_s(environ))


def _collector(
    endpoint: str | None,
    traces_file: object,
    environ: Mapping[str, str],
    announce: bool,
    probe: Probe | None,
) -> Collector | None:
    url = endpoint or environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    if url is None and (own := environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")) is not None:
        url = own.removesuffix("/v1/traces")
    wanted = (_wanted(f"OTEL_{signal}_EXPORTER", environ) for signal in ("TRACES", "METRICS"))
    if not any(wanted) or (url is None and traces_file is not None):
        return None
    default_port = 4317 if _is_grpc("TRACES", environ) else 4318
    return Collector(url or f"http://localhost:{default_port}", announce=announce, probe=probe)


def _wanted(variable: str, environ: Mapping[str, str]) -> bool:
    return environ.get(variable, "otlp").strip().lower() != "none"


def _is_grpc(signal: str, environ: Mapping[str, str]) -> bool:
    protocol = environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
    return environ.get(f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL", protocol).strip() == "grpc"


def _timeout_s(environ: Mapping[str, str]) -> float | None:
    """Shorter than the SDK's ten seconds; None lets the exporter read the operator's variable."""
    given = any(
        key.startswith("OTEL_EXPORTER_OTLP_") and key.endswith("TIMEOUT") for key in environ
    )
    return None if given else _EXPORT_TIMEOUT_S


def _signal_url(url: str, signal: str, environ: Mapping[str, str]) -> str:
    own = environ.get(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")
    path = f"/v1/{signal.lower()}"
    if own is not None:
        return own
    return url if urlsplit(url).path.endswith(path) else f"{url.rstrip('/')}{path}"


def _resource(service_name: str, environ: Mapping[str, str]) -> Resource:
    given = environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    own: dict[str, str | int] = {"process.pid": os.getpid()}
    if "OTEL_SERVICE_NAME" not in environ and f"{SERVICE_NAME}=" not in given:
        own[SERVICE_NAME] = service_name
    if f"{SERVICE_INSTANCE_ID}=" not in given:
        own[SERVICE_INSTANCE_ID] = f"{socket.gethostname()}-{os.getpid()}"
    return Resource.create(own)


def _background(name: str, work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    return thread
