"""What components require beyond the names and types of their settings: the Collector's own ``Validate``, as far as it is known.

Source: the component's ``config.go`` in the Collector and its contrib distribution, version 0.149. Every rule is one that the
Collector refuses by; a value that only the agent knows is never judged.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from configurations.checks.merging import Merged, MergedEntry
from configurations.checks.scalars import seconds_of
from configurations.checks.spelling import with_suggestion
from configurations.checks.tree import ScalarNode, SequenceNode
from foundation.messages import Message

# The path below the component (empty: the component itself), and what is wrong.
Fault = tuple[tuple[str, ...], Message]

_LEVELS = ("none", "basic", "normal", "detailed")
_LOG_LEVELS = ("debug", "info", "warn", "warning", "error", "dpanic", "panic", "fatal")
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")


class _Settings:
    """What stands under a component. What the agent expands counts as present and as unknown."""

    def __init__(self, entry: MergedEntry | None) -> None:
        self._entry = entry

    def at(self, *path: str) -> MergedEntry | None:
        """The value at the end of ``path``."""
        found = self._entry
        for step in path:
            found = found.value.get(step) if found is not None and isinstance(found.value, Merged) else None
        return found

    def is_open(self, *path: str) -> bool:
        """Whether the agent alone knows it, or something it stands in."""
        return any(
            (found := self.at(*path[:length])) is not None and found.is_expanded_by_agent
            for length in range(len(path) + 1)
        )

    def has(self, *path: str) -> bool:
        """Whether something stands there that is neither null nor an empty text, or may do."""
        found = self.at(*path)
        if self.is_open(*path):
            return True
        if found is None or found.is_null:
            return False
        if isinstance(found.value, ScalarNode):
            return found.value.text != ""
        return bool(found.value.items if isinstance(found.value, SequenceNode) else found.value.entries)

    def text(self, *path: str) -> str | None:
        """The text there, if it is known."""
        found = self.at(*path)
        if found is None or self.is_open(*path) or not isinstance(found.value, ScalarNode) or found.is_null:
            return None
        return found.value.text

    def number(self, *path: str) -> float | None:
        """The number there, if it is a plain one."""
        text = self.text(*path)
        return float(text) if text is not None and _NUMBER.fullmatch(text) else None


def problems(section: str, kind: str, entry: MergedEntry) -> Iterator[Fault]:
    """What the Collector would refuse; ``entry`` is the component."""
    settings = _Settings(entry)
    if settings.is_open():
        return
    for rule in (*_RULES.get((section, kind), ()), *_OF_SECTION.get(section, ())):
        yield from rule(settings)


def telemetry_problems(entry: MergedEntry) -> Iterator[Fault]:
    """The same of ``service.telemetry``."""
    settings = _Settings(entry)
    yield from _level(settings, ("metrics", "level"), _LEVELS)
    yield from _level(settings, ("traces", "level"), _LEVELS)
    yield from _level(settings, ("logs", "level"), _LOG_LEVELS, empty=True)
    readers = settings.at("metrics", "readers")
    is_empty = readers is not None and isinstance(readers.value, SequenceNode) and not readers.value.items
    if is_empty and (settings.text("metrics", "level") or "normal").lower() != "none":
        message = Message("telemetry-without-reader", "readers is empty: name one, or set the level to none.")
        yield ("metrics", "readers"), message


Rule = Callable[[_Settings], Iterator[Fault]]


def _needs(*paths: tuple[str, ...]) -> Rule:
    """All of these settings."""

    def rule(settings: _Settings) -> Iterator[Fault]:
        for path in paths:
            if not settings.has(*path):
                yield (), Message("setting-missing", "The setting {name} is missing.", name=".".join(path))

    return rule


def _needs_one(*names: str) -> Rule:
    """At least one of these settings."""

    def rule(settings: _Settings) -> Iterator[Fault]:
        if not any(settings.has(*name.split(".")) for name in names):
            yield (), Message("settings-missing", "One of these settings is needed: {names}.", names=", ".join(names))

    return rule


def _at_least(least: float, *paths: tuple[str, ...]) -> Rule:
    def rule(settings: _Settings) -> Iterator[Fault]:
        for path in paths:
            number = settings.number(*path)
            if number is not None and number < least:
                yield (
                    path,
                    Message("setting-too-small", "{name} must be {least} at least.", name=path[-1], least=f"{least:g}"),
                )

    return rule


def _no_negative_duration(*paths: tuple[str, ...]) -> Rule:
    def rule(settings: _Settings) -> Iterator[Fault]:
        for path in paths:
            if (settings.text(*path) or "").startswith("-"):
                yield path, Message("duration-negative", "{name} must not be negative.", name=path[-1])

    return rule


def _not_empty(*paths: tuple[str, ...]) -> Rule:
    """Has a default, so that it may be left out, but no empty text may stand there."""

    def rule(settings: _Settings) -> Iterator[Fault]:
        for path in paths:
            if settings.text(*path) == "":
                yield path, Message("setting-empty", "{name} must not be empty.", name=path[-1])

    return rule


def _level(
    settings: _Settings, path: tuple[str, ...], levels: tuple[str, ...], *, empty: bool = False
) -> Iterator[Fault]:
    text = settings.text(*path)
    if text is not None and not _NUMBER.fullmatch(text) and text.lower() not in levels and not (empty and text == ""):
        problem = Message("unknown-level", "{name} is one of {levels}.", name=path[-1], levels=", ".join(levels))
        yield path, with_suggestion(problem, text, levels)


def _debug(settings: _Settings) -> Iterator[Fault]:
    yield from _level(settings, ("verbosity",), _LEVELS[1:])
    paths = settings.at("output_paths")
    if settings.text("use_internal_logger") == "false" and paths is not None and not settings.has("output_paths"):
        yield ("output_paths",), Message("setting-empty", "{name} must not be empty.", name="output_paths")


def _otlp(settings: _Settings) -> Iterator[Fault]:
    protocols = settings.at("protocols")
    if settings.is_open("protocols"):
        return
    if protocols is None or not isinstance(protocols.value, Merged) or not protocols.value.entries:
        yield (
            (),
            Message(
                "otlp-without-protocol",
                "An otlp receiver needs a protocol; write protocols: with grpc: or http: (or both) below it.",
            ),
        )


def _jaeger(settings: _Settings) -> Iterator[Fault]:
    if not settings.has("protocols"):
        message = Message("jaeger-without-protocol", "A jaeger receiver needs a protocol, such as grpc or thrift_http.")
        yield (), message


def _span_metrics(settings: _Settings) -> Iterator[Fault]:
    if settings.has("histogram", "explicit") and settings.has("histogram", "exponential"):
        yield ("histogram",), Message("histogram-twice", "A histogram is explicit or exponential, not both.")


def _memory_limiter(settings: _Settings) -> Iterator[Fault]:
    interval = settings.text("check_interval")
    absent = not settings.has("check_interval") or (interval is not None and not interval.strip("0.smhun"))
    limits = [name for name in ("limit_mib", "limit_percentage") if settings.has(name)]
    zero = all(settings.number(name) == 0 for name in limits)
    if absent or zero:
        message = Message("memory-limiter-incomplete", "memory_limiter needs check_interval, such as 1s, and a limit.")
        yield (), message
        return
    for name, spike in (("limit_mib", "spike_limit_mib"), ("limit_percentage", "spike_limit_percentage")):
        limit, above = settings.number(name), settings.number(spike)
        if name == "limit_percentage" and limit is not None and limit > 100:
            yield (name,), Message("percentage-above-100", "{name} must be 100 at most.", name=name)
        elif limit is not None and above is not None and limit and above >= limit:
            message = Message("setting-not-below", "{name} must be below {other}.", name=spike, other=name)
            yield (spike,), message


def _batch(settings: _Settings) -> Iterator[Fault]:
    size, most = settings.number("send_batch_size"), settings.number("send_batch_max_size")
    if most and not settings.is_open("send_batch_size") and most < (8192 if size is None else size):
        message = Message(
            "batch-sizes",
            "send_batch_max_size must be send_batch_size at least, which is {size}.",
            size=f"{8192 if size is None else size:g}",
        )
        yield ("send_batch_max_size",), message


def _port_of_otlp(settings: _Settings) -> Iterator[Fault]:
    """The endpoint of an exporter over gRPC."""
    endpoint = settings.text("endpoint")
    if endpoint and "://" not in endpoint and not endpoint.startswith("/") and ":" not in endpoint:
        message = Message(
            "endpoint-without-port", "The endpoint names no port, such as {wanted}.", wanted=f"{endpoint[:60]}:4317"
        )
        yield ("endpoint",), message


def _tls_pair(*path: str) -> Rule:
    """A certificate and its key come together."""

    def rule(settings: _Settings) -> Iterator[Fault]:
        if settings.at(*path) is None or settings.is_open(*path):
            return
        has = [any(settings.has(*path, f"{what}_{form}") for form in ("file", "pem")) for what in ("cert", "key")]
        if has[0] != has[1]:
            message = Message(
                "tls-pair-incomplete", "A certificate and its key belong together; one of them is missing."
            )
            yield path, message

    return rule


def _tls_server(*path: str) -> Rule:
    """A server with TLS needs both."""

    def rule(settings: _Settings) -> Iterator[Fault]:
        tls = settings.at(*path)
        if tls is None or tls.is_null or settings.is_open(*path):
            return
        if not all(any(settings.has(*path, f"{what}_{form}") for form in ("file", "pem")) for what in ("cert", "key")):
            message = Message("tls-server-without-certificate", "A server with TLS needs a certificate and its key.")
            yield path, message

    return rule


def _retry(settings: _Settings) -> Iterator[Fault]:
    if (settings.text("retry_on_failure", "enabled") or "true") != "true":
        return
    yield from _no_negative_duration(
        ("retry_on_failure", "initial_interval"),
        ("retry_on_failure", "max_interval"),
        ("retry_on_failure", "max_elapsed_time"),
    )(settings)
    initial, longest = (
        seconds_of(settings.text("retry_on_failure", name) or default)
        for name, default in (("initial_interval", "5s"), ("max_elapsed_time", "5m"))
    )
    if initial is not None and longest is not None and 0 < longest < initial:
        message = Message("retry-ends-too-early", "max_elapsed_time must be initial_interval at least.")
        yield ("retry_on_failure", "max_elapsed_time"), message
    number = settings.number("retry_on_failure", "randomization_factor")
    if number is not None and not 0 <= number <= 1:
        path = ("retry_on_failure", "randomization_factor")
        yield path, Message("setting-not-a-share", "{name} must lie between 0 and 1.", name=path[-1])


def _queue(settings: _Settings) -> Iterator[Fault]:
    if (settings.text("sending_queue", "enabled") or "true") != "true":
        return
    for name in ("queue_size", "num_consumers"):
        number = settings.number("sending_queue", name)
        if number is not None and number <= 0:
            message = Message("setting-not-positive", "{name} must be above 0.", name=name)
            yield ("sending_queue", name), message


def _path_begins_with_slash(settings: _Settings) -> Iterator[Fault]:
    path = settings.text("path")
    if path and not path.startswith("/"):
        yield ("path",), Message("path-without-slash", "path must begin with a slash.")


def _opamp(settings: _Settings) -> Iterator[Fault]:
    transports = [name for name in ("ws", "http") if settings.has("server", name)]
    if settings.is_open("server"):
        return
    if len(transports) != 1:
        message = Message("opamp-transport", "The extension opamp needs one server: ws or http, and not both.")
        yield (), message


_GRPC, _HTTP = ("protocols", "grpc"), ("protocols", "http")
_OTLP_EXPORTER: tuple[Rule, ...] = (_needs(("endpoint",)), _port_of_otlp, _no_negative_duration(("timeout",)))
_OTLP_HTTP_EXPORTER: tuple[Rule, ...] = (
    _needs_one("endpoint", "traces_endpoint", "metrics_endpoint", "logs_endpoint", "profiles_endpoint"),
)
_OF_SECTION: dict[str, tuple[Rule, ...]] = {
    "exporters": (_retry, _queue, _tls_pair("tls")),
}
_RULES: dict[tuple[str, str], tuple[Rule, ...]] = {
    ("receivers", "otlp"): (
        _otlp,
        _tls_server(*_GRPC, "tls"),
        _tls_server(*_HTTP, "tls"),
        _at_least(0, (*_GRPC, "max_recv_msg_size_mib")),
    ),
    ("processors", "memory_limiter"): (_memory_limiter,),
    ("processors", "batch"): (_batch, _no_negative_duration(("timeout",))),
    ("exporters", "debug"): (_debug,),
    ("exporters", "otlp"): _OTLP_EXPORTER,
    ("exporters", "otlp_grpc"): _OTLP_EXPORTER,
    ("exporters", "otlphttp"): _OTLP_HTTP_EXPORTER,
    ("exporters", "otlp_http"): _OTLP_HTTP_EXPORTER,
    ("receivers", "jaeger"): (_jaeger,),
    ("receivers", "hostmetrics"): (_needs(("scrapers",)),),
    ("receivers", "host_metrics"): (_needs(("scrapers",)),),
    ("processors", "attributes"): (_needs(("actions",)),),
    ("processors", "resource"): (_needs(("attributes",)),),
    ("processors", "probabilistic_sampler"): (_at_least(0, ("sampling_percentage",)),),
    ("connectors", "spanmetrics"): (_span_metrics,),
    ("connectors", "span_metrics"): (_span_metrics,),
    ("connectors", "routing"): (_needs(("table",)),),
    ("extensions", "basicauth"): (_needs_one("htpasswd", "client_auth"),),
    ("extensions", "bearertokenauth"): (_needs_one("token", "tokens", "filename"),),
    ("extensions", "health_check"): (_not_empty(("endpoint",)), _path_begins_with_slash),
    ("extensions", "zpages"): (_not_empty(("endpoint",)),),
    ("extensions", "opamp"): (_opamp,),
}
