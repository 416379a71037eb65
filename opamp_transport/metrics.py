"""What the consumers and the report queue count; `opamp_platform.operations.metrics` serves it together with the rest."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

MESSAGES = Counter("opamp_messages", "Messages received from agents, by transport and kind.", ["transport", "kind"])
SLOWED = Counter("opamp_slowed_reports", "Reports that waited because their agent sent too many.", ["transport"])
REFUSALS = Counter("opamp_refusals", "Requests and messages refused, by reason.", ["transport", "reason"])
UNSTORED = Counter(
    "opamp_unstored_parts", "Parts of reports that there was no room for, by whose limit it was.", ["part", "limit"]
)
TELEMETRY_REQUESTS = Counter("opamp_telemetry_requests", "Requests with agents' own metrics that were taken.")
TELEMETRY_REJECTED = Counter(
    "opamp_telemetry_rejected_points",
    "Data points of agents' own metrics that were rejected: of unknown agents, or no values.",
)
NO_ADDRESSES = Counter("opamp_forwarded_no_addresses", "X-Forwarded-For of a trusted proxy that named no IP address.")
ANSWERS = Counter("opamp_configuration_answers", "Agents' answers to offers, by status.", ["status"])
PUSHES = Counter("opamp_pushes", "Messages sent to agents unasked, by result.", ["result"])
REPORT_SECONDS = Histogram(
    "opamp_exchange_seconds",
    "From a report's arrival to its reply, for reports that reach the database.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
BATCH_SIZE = Histogram(
    "opamp_batch_size", "Reports that one transaction took.", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
)
QUEUE_DEPTH = Gauge("opamp_queue_depth", "Reports waiting for the database.", multiprocess_mode="livesum")
CONNECTIONS = Gauge("opamp_connections", "Open WebSocket connections of agents.", multiprocess_mode="livesum")
PREVIOUS_SECRET = Counter("opamp_previous_secret", "Requests of agents that showed OPAMP_PREVIOUS_SECRET_KEY.")
FLUSHED = Counter("opamp_presence_rows", "Last-seen rows written in batches.")
FAILED_BATCHES = Counter(
    "opamp_failed_batches", "Batches that failed and were retried or refused, by cause.", ["cause"]
)

HEARTBEATS = {name: MESSAGES.labels(name, "heartbeat") for name in ("websocket", "http")}
REPORTS = {name: MESSAGES.labels(name, "report") for name in ("websocket", "http")}
