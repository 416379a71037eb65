"""Whole configurations of a Collector to begin with: a text each, what it is for, and the components it needs.

People know them as templates of configurations; they are copied once, and nothing connects a configuration with what it began as.
What is filled in for each agent, which is called a template elsewhere, has nothing to do with them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from configurations.checks import judge_files
from foundation.messages import Message

CONTENT_TYPE = "text/yaml"
_FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class StartingPoint:
    """``name`` stands in URLs and is the name that a configuration is proposed; ``components`` are types as ``receivers/otlp``."""

    name: str
    title: Message
    description: Message
    text: str
    components: tuple[str, ...]


_TOLD: dict[str, tuple[Message, Message]] = {
    "host-metrics": (
        Message("start-host-metrics", "Metrics of hosts"),
        Message(
            "start-host-metrics-for",
            "Measures the host that the Collector runs on, such as CPU, memory and disks, and sends it over OTLP.",
        ),
    ),
    "logs-to-otlp": (
        Message("start-logs", "Log files to OTLP"),
        Message("start-logs-for", "Follows the log files of a host and sends what is written to them over OTLP."),
    ),
    "gateway": (
        Message("start-gateway", "Gateway"),
        Message(
            "start-gateway-for",
            "Takes traces, metrics and logs from applications and other Collectors, and sends them on in batches.",
        ),
    ),
    "kubernetes-cluster": (
        Message("start-kubernetes", "Kubernetes cluster"),
        Message(
            "start-kubernetes-for",
            "Watches the nodes, pods and workloads of a cluster. One replica is enough; its service account must be allowed to.",
        ),
    ),
    "prometheus-scrape": (
        Message("start-prometheus", "Prometheus scrape"),
        Message(
            "start-prometheus-for", "Scrapes endpoints in the format of Prometheus and sends their metrics over OTLP."
        ),
    ),
    "tail-sampling": (
        Message("start-tail-sampling", "Tail sampling"),
        Message(
            "start-tail-sampling-for",
            "Keeps whole traces that failed or were slow and a share of others. All spans of a trace must reach one Collector.",
        ),
    ),
}


@cache
def starting_points() -> dict[str, StartingPoint]:
    """All of them by name, in the order in which people are shown them."""
    return {name: _read(name, *told) for name, told in _TOLD.items()}


def _read(name: str, title: Message, description: Message) -> StartingPoint:
    text = (_FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    uses = judge_files({"": (text, CONTENT_TYPE)}).uses
    return StartingPoint(name, title, description, text, tuple(f"{use.section}/{use.kind}" for use in uses))
