"""``manage.py simulate_agents``: a fleet of OpAMP agents to try the portal with, or to load it."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import random
import resource
import signal
import socket
import sys
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import SplitResult, urlsplit, urlunsplit

import uvloop
from django.core.management.base import BaseCommand, CommandError, CommandParser

from simulator.clients import Server
from simulator.fleet import FleetPlan, SimulatedFleet, report

_SCHEMES = {"ws": {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}}
_SCHEMES["http"] = {"ws": "http", "wss": "https", "http": "http", "https": "https"}


class Command(BaseCommand):
    """Needs no database: it is only a client."""

    help = "Connect simulated OpAMP agents to a server; stop them with Ctrl-C."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """All have a default that fits `make run`."""
        parser.add_argument("--count", type=_positive_integer, default=10, help="How many agents.")
        parser.add_argument("--endpoint", default="ws://127.0.0.1:8080/v1/opamp")
        parser.add_argument("--transport", choices=["ws", "http"], help="Default: as the endpoint's scheme says.")
        parser.add_argument("--labels", type=_labels, default={}, help="k=v,k=v for all agents, such as env=prod.")
        parser.add_argument("--secret-key", default="", help="The server's OPAMP_SECRET_KEY.")
        parser.add_argument("--duration", type=_seconds, default=0.0, help="Stop by itself after so many seconds.")
        parser.add_argument("--heartbeat", type=_seconds, default=30.0, help="Seconds between heartbeats or polls.")
        parser.add_argument("--fail-share", type=_share, default=0.0, help="Share of agents that fail a configuration.")
        parser.add_argument("--apply-seconds", type=_seconds, default=0.5, help="How long applying takes.")
        parser.add_argument("--seed", type=int, help="The same seed brings the same agents back.")
        parser.add_argument("--connect-rate", type=_rate, default=200.0, help="New connections per second.")
        parser.add_argument("--summary-seconds", type=_seconds, default=2.0, help="0: only one line at the end.")
        parser.add_argument("--allow-remote", action="store_true", help="Connect to another machine.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Simulate until the time is up, SIGINT or SIGTERM."""
        url = _url(options["endpoint"], options["transport"])
        if not options["allow_remote"] and not _is_loopback(url):
            raise CommandError(
                f"{url.hostname} is not this machine. Simulated agents would fill that server's inventory; "
                "add --allow-remote if that is meant."
            )
        seed = options["seed"] if options["seed"] is not None else random.randrange(2**32)  # noqa: S311  a name
        secret = options["secret_key"]
        plan = FleetPlan(
            server=Server(urlunsplit(url), {"Authorization": f"Bearer {secret}"} if secret else {}),
            over_http=url.scheme.startswith("http"),
            count=options["count"],
            labels=options["labels"],
            seed=seed,
            heartbeat_seconds=options["heartbeat"],
            apply_seconds=options["apply_seconds"],
            fail_share=options["fail_share"],
            connects_per_second=options["connect_rate"],
        )
        _raise_file_limit()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self.simulate(SimulatedFleet(plan), options["duration"], options["summary_seconds"]))

    async def simulate(self, fleet: SimulatedFleet, duration: float, summary_seconds: float) -> None:
        """Run the fleet, its summary and its clock together."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        plan = fleet.plan
        self.write(f"{plan.count} agents to {plan.server.url}; --seed {plan.seed} brings the same agents back")
        timer = loop.call_later(duration, stop.set) if duration else None
        try:
            with self.summaries() as write:
                reporting = (
                    asyncio.create_task(report(fleet.tally, summary_seconds, write)) if summary_seconds else None
                )
                try:
                    await fleet.run(stop)
                finally:
                    if reporting is not None:
                        reporting.cancel()
                        with contextlib.suppress(asyncio.CancelledError):
                            await reporting
        finally:
            if timer is not None:
                timer.cancel()
            self.write(f"stopped: {fleet.tally.line()}")

    @contextlib.contextmanager
    def summaries(self) -> Iterator[Callable[[str], None]]:
        """What shows the summary: on a terminal one line that changes, elsewhere a line each time."""
        if not self.stdout.isatty():
            yield self.write
            return
        # A tenth of a second of every other start.
        from rich.console import Console
        from rich.text import Text

        with Console(file=sys.stdout).status(Text("connecting")) as status:
            yield lambda line: status.update(Text(line))

    def write(self, line: str) -> None:
        """One line, at once, also into a pipe."""
        self.stdout.write(line)
        self.stdout.flush()


def _url(endpoint: str, transport: str | None) -> SplitResult:
    complaint = (
        f"--endpoint {endpoint!r} must be a ws, wss, http or https URL with a host, and a port up to 65535 if any."
    )
    try:
        parts = urlsplit(endpoint)
        host, _port = parts.hostname, parts.port
    except ValueError as error:
        raise CommandError(complaint) from error
    wanted = transport or ("http" if parts.scheme.startswith("http") else "ws")
    scheme = _SCHEMES[wanted].get(parts.scheme)
    if scheme is None or not host:
        raise CommandError(complaint)
    path = parts.path if parts.path.strip("/") else "/v1/opamp"
    return SplitResult(scheme, parts.netloc, path, parts.query, "")


def _is_loopback(url: SplitResult) -> bool:
    try:
        found = socket.getaddrinfo(url.hostname, url.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise CommandError(f"The host {url.hostname!r} cannot be resolved: {error}") from error
    return all(ipaddress.ip_address(address[4][0]).is_loopback for address in found)


def _raise_file_limit() -> None:
    """Each agent is one open file."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _labels(text: str) -> dict[str, str]:
    labels = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise ArgumentTypeError(f"{pair!r} is not key=value")
        labels[key] = value
    return labels


def _positive_integer(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError("must be a whole number from 1 on")
    return int(text)


def _seconds(text: str) -> float:
    return _number(text, 0.0, 10.0**6)


def _share(text: str) -> float:
    return _number(text, 0.0, 1.0)


def _rate(text: str) -> float:
    return _number(text, 0.1, 10.0**5)


def _number(text: str, least: float, most: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not least <= value <= most:
        raise ArgumentTypeError(f"{text!r} must be a number from {least:g} to {most:g}")
    return value
