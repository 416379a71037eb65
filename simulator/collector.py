"""What a simulated Collector is and runs: attributes, components, effective configuration, health.

Pure: no input, no output, no clock. What many agents have in common is computed once and shared.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import UUID

import yaml

from configurations.checks.findings import SyntaxProblem
from configurations.checks.yaml_text import read_yaml
from opamp_transport.proto import anyvalue_pb2, opamp_pb2

SERVICE_NAME = "otelcol-contrib"
VERSIONS = ("0.128.0", "0.131.1", "0.135.0", "0.139.0")
ENVIRONMENTS = ("prod", "dev")
REGIONS = ("us-east", "us-west", "eu-central", "ap-southeast")
PLATFORMS = (("linux", "amd64"), ("linux", "arm64"), ("linux", "amd64"), ("windows", "amd64"))

_COMPONENTS = {
    "receivers": ("otlp", "hostmetrics", "filelog", "prometheus"),
    "processors": ("batch", "memory_limiter", "attributes", "resource"),
    "exporters": ("otlp", "otlphttp", "debug", "nop"),
    "extensions": ("health_check", "opamp"),
    "connectors": ("forward", "spanmetrics"),
}
_LOCAL_CONFIG = """\
receivers: {otlp: {protocols: {grpc: {endpoint: 127.0.0.1:4317}}}}
exporters: {debug: {}}
service: {pipelines: {traces: {receivers: [otlp], exporters: [debug]}}}
"""

Files = tuple[tuple[str, bytes], ...]
"""An offered configuration: config keys with bodies, in the order of their names."""


class ConfigRejected(Exception):
    """The offered files are nothing a Collector could start with; the text is its error message."""


@dataclass(frozen=True, slots=True)
class Collector:
    """Who one simulated Collector is. ``labels`` become non-identifying attributes."""

    version: str
    host_name: str
    os_type: str
    architecture: str
    labels: Mapping[str, str]

    def description(self, instance_uid: UUID) -> opamp_pb2.AgentDescription:
        """The ``agent_description`` under this uid."""
        return opamp_pb2.AgentDescription(
            identifying_attributes=_key_values(
                {
                    "service.name": SERVICE_NAME,
                    "service.version": self.version,
                    "service.instance.id": str(instance_uid),
                }
            ),
            non_identifying_attributes=_key_values(
                {
                    "host.name": self.host_name,
                    "os.type": self.os_type,
                    "host.arch": self.architecture,
                    **self.labels,
                }
            ),
        )


@dataclass(frozen=True, slots=True)
class Running:
    """What a Collector runs: the merged configuration as YAML, and pipeline names with their component ids."""

    effective_config: bytes
    pipelines: tuple[tuple[str, tuple[str, ...]], ...]


def varied_collector(number: int, labels: Mapping[str, str], chance: random.Random) -> Collector:
    """The ``number``-th Collector of a fleet; ``labels`` replace what is drawn by ``chance``."""
    os_type, architecture = chance.choice(PLATFORMS)
    drawn = {"env": chance.choice(ENVIRONMENTS), "region": chance.choice(REGIONS)}
    return Collector(
        version=chance.choice(VERSIONS),
        host_name=f"sim-{number:05d}",
        os_type=os_type,
        architecture=architecture,
        labels={**drawn, **labels},
    )


@lru_cache(maxsize=64)
def run(files: Files) -> Running:
    """What a Collector runs with these remote files over its own configuration.

    Merged as opampsupervisor does: by name, with ``""`` last; maps are merged, everything else is replaced.

    Raises ConfigRejected: a file is no YAML map, or a pipeline names a component that the file does not configure.
    """
    merged: dict[str, Any] = yaml.load(_LOCAL_CONFIG, yaml.CSafeLoader)
    for key, body in sorted(files, key=lambda file: (file[0] == "", file[0])):
        merged = _merge(merged, _parsed(key, body))
    text = yaml.dump(merged, Dumper=yaml.CSafeDumper, sort_keys=True)
    return Running(text.encode(), tuple(_pipelines(merged)))


def health(running: Running, *, started_at: int, at: int) -> opamp_pb2.ComponentHealth:
    """A healthy tree of pipelines and their components; times in Unix nanoseconds."""
    root = opamp_pb2.ComponentHealth(
        healthy=True, status="StatusOK", start_time_unix_nano=started_at, status_time_unix_nano=at
    )
    for name, components in running.pipelines:
        pipeline = root.component_health_map[f"pipeline:{name}"]
        pipeline.healthy, pipeline.status = True, "StatusOK"
        for component in components:
            leaf = pipeline.component_health_map[component]
            leaf.healthy, leaf.status = True, "StatusOK"
    return root


@lru_cache(maxsize=2 * len(VERSIONS))
def available_components(version: str, *, full: bool) -> opamp_pb2.AvailableComponents:
    """The component map, or its hash alone; one version of a Collector has one map. Not to be changed by callers."""
    message = opamp_pb2.AvailableComponents()
    for kind, names in _COMPONENTS.items():
        group = message.components[kind]
        for name in names:
            kind_name = kind.removesuffix("s")
            module = (
                f"github.com/open-telemetry/opentelemetry-collector-contrib/{kind_name}/{name}{kind_name} v{version}"
            )
            group.sub_component_map[name].metadata.extend(_key_values({"code.namespace": module}))
    digest = hashlib.sha256(message.SerializeToString(deterministic=True)).digest()
    if not full:
        message.Clear()
    message.hash = digest
    return message


def _key_values(pairs: Mapping[str, str]) -> list[anyvalue_pb2.KeyValue]:
    return [
        anyvalue_pb2.KeyValue(key=key, value=anyvalue_pb2.AnyValue(string_value=value)) for key, value in pairs.items()
    ]


def _parsed(key: str, body: bytes) -> dict[str, Any]:
    try:
        text = body.decode()
        # Depth, and what aliases stand for, are bounded before anything is built.
        read_yaml(text)
        tree = yaml.load(text, yaml.CSafeLoader)
    except SyntaxProblem as error:
        raise ConfigRejected(f"cannot unmarshal the configuration {key!r}: {error}") from error
    except (yaml.YAMLError, ValueError) as error:
        # ValueError: not UTF-8, or a scalar that looks like a date and is none.
        raise ConfigRejected(f"cannot unmarshal the configuration {key!r}: {error}") from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigRejected(f"cannot unmarshal the configuration {key!r}: it is no map")
    return tree


def _merge(below: dict[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        former = merged.get(key)
        merged[key] = _merge(former, value) if isinstance(former, dict) and isinstance(value, dict) else value
    return merged


def _pipelines(config: Mapping[str, Any]) -> list[tuple[str, tuple[str, ...]]]:
    service = config.get("service")
    pipelines = service.get("pipelines") if isinstance(service, dict) else None
    found = []
    for name, pipeline in (pipelines if isinstance(pipelines, dict) else {}).items():
        components: list[str] = []
        for kind in ("receivers", "processors", "exporters"):
            used = pipeline.get(kind) if isinstance(pipeline, dict) else None
            for component in used if isinstance(used, list) else []:
                if str(component) not in _configured(config, kind):
                    raise ConfigRejected(
                        f"service::pipelines::{name}: references {kind.removesuffix('s')} {component!r} "
                        "which is not configured"
                    )
                components.append(f"{kind.removesuffix('s')}:{component}")
        found.append((str(name), tuple(components)))
    return found


def _configured(config: Mapping[str, Any], kind: str) -> set[str]:
    """Names under ``kind``; a connector is a receiver of one pipeline and an exporter of another."""
    names: set[str] = set()
    for section in (kind, "connectors"):
        configured = config.get(section)
        if isinstance(configured, dict):
            names.update(str(name) for name in configured)
    return names
