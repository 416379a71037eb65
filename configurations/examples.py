"""A configuration to begin with: what the form shows as an example, and what the samples are made of. Every Collector runs it."""

from __future__ import annotations

_COLLECTOR = """\
receivers:
  otlp:
    protocols:
      grpc:
        endpoint: 127.0.0.1:4317
processors:
  memory_limiter:
    check_interval: 1s
    limit_mib: {limit_mib}
  batch: {{}}
exporters:
  debug:
    verbosity: {verbosity}
service:
  pipelines:
    traces:
      receivers: [otlp]
      processors: [memory_limiter, batch]
      exporters: [debug]
"""


def collector_example(*, limit_mib: int = 256, verbosity: str = "basic") -> str:
    """Traces from OTLP to the log, within ``limit_mib`` MiB."""
    return _COLLECTOR.format(limit_mib=limit_mib, verbosity=verbosity)
