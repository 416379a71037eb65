"""What is kept of own metrics, and the names under which Collectors send it: six measures, and flows of components. Pure."""

from __future__ import annotations

import enum


class Measure(enum.StrEnum):
    """One number over time. The value names columns, REST's fields and places in a day; the order is that of a day's bytes."""

    CPU = "cpu"
    """Cores: 1 is one core, busy all the time."""
    MEMORY = "memory"
    """Bytes of resident memory."""
    ACCEPTED = "accepted"
    """Spans, points, records and samples that receivers took, a second."""
    REFUSED = "refused"
    """The same, that receivers could not hand on."""
    FAILED = "failed"
    """The same, that exporters could not send."""
    QUEUE = "queue"
    """How full the fullest sending queue is, 0 to 1."""


MEASURES = tuple(Measure)
COUNTED = frozenset({Measure.CPU, Measure.ACCEPTED, Measure.REFUSED, Measure.FAILED})
"""Those that agents send as sums since their start, and of which rates are kept."""

QUEUE_SIZE, QUEUE_CAPACITY = "otelcol_exporter_queue_size", "otelcol_exporter_queue_capacity"
_NAMES = {
    "otelcol_process_cpu_seconds": Measure.CPU,
    "otelcol_process_memory_rss": Measure.MEMORY,
    "otelcol_process_memory_rss_bytes": Measure.MEMORY,
}
_KINDS = {
    "otelcol_receiver_accepted_": Measure.ACCEPTED,
    "otelcol_receiver_refused_": Measure.REFUSED,
    "otelcol_exporter_send_failed_": Measure.FAILED,
}
_SIGNALS = {"spans": "traces", "metric_points": "metrics", "log_records": "logs", "profile_samples": "profiles"}
_NAMES |= {f"{kind}{signal}": measure for kind, measure in _KINDS.items() for signal in _SIGNALS}
_FLOWS = {
    f"otelcol_{kind}_{verb}_{unit}": (f"{kind}s", signal, kind)
    for kind, verb in (("receiver", "accepted"), ("exporter", "sent"))
    for unit, signal in _SIGNALS.items()
}
_LONGEST = max(map(len, [*_NAMES, *_FLOWS, QUEUE_CAPACITY])) + len("_total")


def plain_name(name: str) -> str:
    """``name`` in the spelling that is known here: with underscores, without the ``_total`` that Prometheus adds."""
    return name.replace(".", "_").removesuffix("_total") if len(name) <= _LONGEST else ""


def measure_of(plain: str) -> Measure | None:
    """What a metric of this plain name counts or shows; ``None`` for one that is not kept."""
    return _NAMES.get(plain)


def flow_of(plain: str) -> tuple[str, str, str] | None:
    """Of a metric that counts what one component passes on: the component's role, the signal, and the attribute that names it."""
    return _FLOWS.get(plain)
