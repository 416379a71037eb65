"""Two components of one configuration that listen on one port: the Collector accepts it, and one of the two then fails to start."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from configurations.checks.component_ids import type_of
from configurations.checks.findings import Place, shown_value
from configurations.checks.merging import Merged, MergedEntry
from configurations.checks.pipelines import Name
from configurations.checks.tree import ScalarNode
from foundation.messages import Message

# Where components listen: the path to the endpoint, and where they listen without one; none: not at all.
_LISTENERS: dict[tuple[str, str], tuple[tuple[tuple[str, ...], str], ...]] = {
    ("receivers", "otlp"): (
        (("protocols", "grpc", "endpoint"), "localhost:4317"),
        (("protocols", "http", "endpoint"), "localhost:4318"),
    ),
    ("receivers", "jaeger"): (
        (("protocols", "grpc", "endpoint"), "localhost:14250"),
        (("protocols", "thrift_http", "endpoint"), "localhost:14268"),
    ),
    ("receivers", "zipkin"): ((("endpoint",), "localhost:9411"),),
    ("receivers", "statsd"): (),
    ("receivers", "syslog"): ((("tcp", "listen_address"), ""),),
    ("receivers", "tcplog"): ((("listen_address",), ""),),
    ("receivers", "tcp_log"): ((("listen_address",), ""),),
    ("receivers", "fluentforward"): ((("endpoint",), ""),),
    ("receivers", "loki"): (
        (("protocols", "grpc", "endpoint"), "localhost:3600"),
        (("protocols", "http", "endpoint"), "localhost:3500"),
    ),
    ("receivers", "splunk_hec"): ((("endpoint",), "localhost:8088"),),
    ("receivers", "influxdb"): ((("endpoint",), "localhost:8086"),),
    ("receivers", "datadog"): ((("endpoint",), "localhost:8126"),),
    ("exporters", "prometheus"): ((("endpoint",), ""),),
    ("extensions", "health_check"): ((("endpoint",), "localhost:13133"),),
    ("extensions", "zpages"): ((("endpoint",), "localhost:55679"),),
    ("extensions", "pprof"): ((("endpoint",), "localhost:1777"),),
}
_EVERYWHERE = frozenset({"", "0.0.0.0", "[::]"})  # noqa: S104  read, not listened on
_HERE = frozenset({"localhost", "127.0.0.1", "[::1]"})


@dataclass(frozen=True, slots=True)
class _Listener:
    name: Name
    host: str
    port: str
    file: str
    place: Place
    path: str


def port_problems(components: Iterable[tuple[str, Name]]) -> Iterator[tuple[str, Place, str, Message]]:
    """File, place and path of each that listens where an earlier one does; ``components`` with their sections are started."""
    by_port: dict[str, list[_Listener]] = {}
    for section, name in components:
        for listener in _listeners(section, name):
            others = by_port.setdefault(listener.port, [])
            other = next((former for former in others if _meet(former.host, listener.host)), None)
            if other is not None:
                message = Message(
                    "port-twice",
                    "{name} listens on port {port}, where {other} listens already (line {line}): one of the two will fail.",
                    name=shown_value(listener.name.text),
                    port=listener.port,
                    other=shown_value(other.name.text),
                    line=other.place.line,
                )
                yield listener.file, listener.place, listener.path, message
            others.append(listener)


def _listeners(section: str, name: Name) -> Iterator[_Listener]:
    for path, default in _LISTENERS.get((section, type_of(name.text)), ()):
        file, place, endpoint = name.file, name.place, default
        entry: MergedEntry | None = name.entry
        above: MergedEntry | None = None
        for step in path:
            above = entry
            entry = entry.value.get(step) if entry is not None and isinstance(entry.value, Merged) else None
        # A protocol that is not named does not listen.
        if len(path) > 1 and above is None:
            continue
        if entry is not None and not entry.is_null:
            if not isinstance(entry.value, ScalarNode):
                continue
            file, place, endpoint = entry.file, entry.place, entry.value.text
        host, colon, port = endpoint.rpartition(":")
        if colon and port.isdigit() and "${" not in endpoint:
            yield _Listener(name, host.lower(), port, file, place, ".".join((name.path, *path)))


def _meet(host: str, other: str) -> bool:
    return host == other or host in _EVERYWHERE or other in _EVERYWHERE or {host, other} <= _HERE
