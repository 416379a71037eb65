"""Ready-made settings for an agent that shall come in by a token: files and commands with this portal's address in them.

Pure but for the words beside them. The supervisor's file is that of opampsupervisor 0.149.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.utils.translation import gettext_lazy as _

COLLECTOR_VERSION = "0.149.0"
_PATH = "/v1/opamp"
_IMAGES = "ghcr.io/open-telemetry/opentelemetry-collector-releases"
# What the portal does needs all of these; what is off cannot be done from here.
_CAPABILITIES = (
    "accepts_remote_config",
    "reports_remote_config",
    "reports_effective_config",
    "reports_health",
    "reports_heartbeat",
    "accepts_restart_command",
    "accepts_opamp_connection_settings",
    "reports_available_components",
)


@dataclass(frozen=True, slots=True)
class Snippet:
    """A text to copy; ``name`` is its HTML id."""

    name: str
    title: Any
    text: str


def endpoint_of(public_url: str, *, secure: bool, host: str) -> str:
    """Where agents reach the portal: under ``public_url``, or else the way the person did."""
    base = urlsplit(public_url)
    if base.scheme and base.netloc:
        scheme = "wss" if base.scheme == "https" else "ws"
        return f"{scheme}://{base.netloc}{base.path.rstrip('/')}{_PATH}"
    return f"{'wss' if secure else 'ws'}://{host}{_PATH}"


def snippets(endpoint: str, token: str) -> list[Snippet]:
    """All of them, the usual one first."""
    return [
        Snippet(
            "snippet-supervisor",
            _("supervisor.yaml, for a Collector under opampsupervisor"),
            supervisor(endpoint, token),
        ),
        Snippet("snippet-systemd", _("systemd unit that runs the supervisor"), _UNIT),
        Snippet("snippet-docker", _("Docker, with supervisor.yaml beside it"), _DOCKER),
        Snippet(
            "snippet-helm",
            _("Helm values of the opentelemetry-collector chart: seen here, not configured"),
            helm(endpoint, token),
        ),
        Snippet("snippet-simulate", _("Simulated agents, to look around"), simulated(endpoint, token)),
    ]


def simulated(endpoint: str, token: str) -> str:
    """The command, for a shell in the portal's folder."""
    return f".venv/bin/python manage.py simulate_agents --count 5 --secret-key {token} --endpoint {endpoint}\n"


def supervisor(endpoint: str, token: str) -> str:
    """``supervisor.yaml``."""
    return _yaml(
        {
            "server": {"endpoint": endpoint, "headers": {"Authorization": f"Bearer {token}"}},
            "capabilities": dict.fromkeys(_CAPABILITIES, "true"),
            "agent": {"executable": "/usr/local/bin/otelcol-contrib"},
            "storage": {"directory": "/var/lib/otelcol/supervisor"},
        }
    )


def helm(endpoint: str, token: str) -> str:
    """``values.yaml``: the opamp extension of a Collector that the chart configures."""
    return _yaml(
        {
            "mode": "daemonset",
            "image": {"repository": "otel/opentelemetry-collector-contrib"},
            "config": {
                "extensions": {
                    "opamp": {
                        "server": {"ws": {"endpoint": endpoint, "headers": {"Authorization": f"Bearer {token}"}}},
                        "agent_description": {"non_identifying_attributes": {"k8s.node.name": "${env:K8S_NODE_NAME}"}},
                    }
                },
                "service": {"extensions": ["health_check", "opamp"]},
            },
            "extraEnvs": [
                {"name": "K8S_NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
            ],
        }
    )


def _yaml(tree: Mapping[str, Any], indent: str = "") -> str:
    """As a person writes it: keys in this order. Texts are quoted where YAML could read them otherwise."""
    lines = []
    for key, value in tree.items():
        if isinstance(value, Mapping):
            lines.append(f"{indent}{key}:\n{_yaml(value, indent + '  ')}")
        elif isinstance(value, list):
            lines.append(f"{indent}{key}:\n" + "".join(_item(item, indent + "  ") for item in value))
        else:
            lines.append(f"{indent}{key}: {_scalar(value)}\n")
    return "".join(lines)


def _item(value: Any, indent: str) -> str:
    if isinstance(value, Mapping):
        return f"{indent}- {_yaml(value, indent + '  ').removeprefix(indent + '  ')}"
    return f"{indent}- {_scalar(value)}\n"


def _scalar(text: str) -> str:
    plain = text.replace("/", "").replace("_", "").replace("-", "").replace(".", "")
    # A text in JSON is one in YAML.
    return text if plain.isascii() and plain.isalnum() else json.dumps(text, ensure_ascii=False)


_UNIT = """\
# /etc/systemd/system/opampsupervisor.service
[Unit]
Description=OpAMP supervisor with an OpenTelemetry Collector
Wants=network-online.target
After=network-online.target

[Service]
ExecStart=/usr/local/bin/opampsupervisor --config /etc/otelcol/supervisor.yaml
StateDirectory=otelcol
Restart=always
RestartSec=5

[Install]
WantedBy=multi-user.target
"""

_DOCKER = f"""\
docker build -t otelcol-supervised - <<'EOF'
FROM otel/opentelemetry-collector-contrib:{COLLECTOR_VERSION} AS collector
FROM {_IMAGES}/opentelemetry-collector-opampsupervisor:{COLLECTOR_VERSION}
COPY --from=collector /otelcol-contrib /usr/local/bin/otelcol-contrib
EOF
docker run -d --name otelcol --restart unless-stopped --user 0 \\
  -v "$PWD/supervisor.yaml:/etc/otelcol/supervisor.yaml:ro" \\
  -v otelcol-supervisor:/var/lib/otelcol/supervisor \\
  otelcol-supervised --config /etc/otelcol/supervisor.yaml
"""
