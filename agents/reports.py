"""What an agent says about itself, as typed values, and the facts the portal derives from it.

Pure: standard library only. Neither Django nor protobuf is known here, so the same values cross from the wire
(`opamp_transport.protocol.messages`) to the database (`agents.services`) and into tests unchanged.

Two conventions hold everywhere:

* ``None`` in a `StatusReport` means *omitted, unchanged* (S-39); an empty value means *reported empty* (S-40).
* What the server decides on is a typed field. What it only keeps and shows (health children, packages, components,
  custom capabilities, file bodies) is JSON-ready data, made of ``dict``, ``list``, ``str``, ``int``, ``float``, ``bool``, ``None``.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple, TypeAlias
from uuid import UUID

Json: TypeAlias = "None | bool | int | float | str | Sequence[Json] | Mapping[str, Json]"
JsonObject: TypeAlias = Mapping[str, Json]


class AgentCapabilities(enum.IntFlag):
    """Bits of ``AgentToServer.capabilities`` (digest section 4.0). Undefined bits are ignored (S-54)."""

    REPORTS_STATUS = 0x0001
    ACCEPTS_REMOTE_CONFIG = 0x0002
    REPORTS_EFFECTIVE_CONFIG = 0x0004
    ACCEPTS_PACKAGES = 0x0008
    REPORTS_PACKAGE_STATUSES = 0x0010
    REPORTS_OWN_TRACES = 0x0020
    REPORTS_OWN_METRICS = 0x0040
    REPORTS_OWN_LOGS = 0x0080
    ACCEPTS_OPAMP_CONNECTION_SETTINGS = 0x0100
    ACCEPTS_OTHER_CONNECTION_SETTINGS = 0x0200
    ACCEPTS_RESTART_COMMAND = 0x0400
    REPORTS_HEALTH = 0x0800
    REPORTS_REMOTE_CONFIG = 0x1000
    REPORTS_HEARTBEAT = 0x2000
    REPORTS_AVAILABLE_COMPONENTS = 0x4000
    REPORTS_CONNECTION_SETTINGS_STATUS = 0x8000


DEFINED_CAPABILITIES = int(AgentCapabilities(0xFFFF))

_CAPABILITY_LABELS: tuple[tuple[AgentCapabilities, str], ...] = tuple(
    (bit, "".join({"opamp": "OpAMP"}.get(word, word.title()) for word in (bit.name or "").lower().split("_")))
    for bit in AgentCapabilities
)


def capability_names(mask: int) -> list[str]:
    """Names of the defined bits in ``mask``, spelled as in the specification: ``["ReportsStatus", …]``, lowest bit first."""
    return [label for bit, label in _CAPABILITY_LABELS if mask & bit]


class RemoteConfigStatuses(enum.IntEnum):
    """``RemoteConfigStatus.status``. Unknown numbers are kept as `UNSET` by the decoder (S-112)."""

    UNSET = 0
    APPLIED = 1
    APPLYING = 2
    FAILED = 3


@dataclass(frozen=True, slots=True)
class AgentDescription:
    """``AgentToServer.agent_description``: who and where the agent is.

    Values are JSON-ready and keep their reported type (string, bool, int, float, list, object); bytes become
    ``{"base64": "…"}`` and an unset value ``None``. Of a key reported twice the last one counts.
    """

    identifying_attributes: JsonObject
    non_identifying_attributes: JsonObject


@dataclass(frozen=True, slots=True)
class ComponentHealth:
    """``AgentToServer.health``: the root decides (S-71), the tree below it is shown.

    ``tree`` is the whole JSON-ready node including the root: ``{"healthy": bool, "status": str, "last_error": str,
    "start_time_unix_nano": int, "status_time_unix_nano": int, "attributes": {…}, "components": {name: node}}``;
    members that are empty or zero are left out, except ``healthy``.
    """

    healthy: bool
    last_error: str
    status: str
    start_time_unix_nano: int
    status_time_unix_nano: int
    tree: JsonObject

    @property
    def is_bare(self) -> bool:
        """True when nothing but ``healthy`` is said, and perhaps when."""
        said = self.last_error or self.status or self.start_time_unix_nano
        return not said and self.tree.keys() <= {"healthy", "status_time_unix_nano"}


@dataclass(frozen=True, slots=True)
class EffectiveConfig:
    """``AgentToServer.effective_config``, stored as reported, all keys (S-69).

    ``files`` maps a config key to ``{"body": str, "content_type": str, "role": str}``; a body that is not UTF-8 is
    ``{"body_base64": str, …}`` instead. Empty ``content_type`` and ``role`` are left out.
    """

    files: Mapping[str, JsonObject]


@dataclass(frozen=True, slots=True)
class RemoteConfigStatus:
    """``AgentToServer.remote_config_status``: the outcome of the offer whose hash it names (S-64)."""

    last_remote_config_hash: bytes
    status: RemoteConfigStatuses
    error_message: str


APPLIED_SETTINGS = 1


@dataclass(frozen=True, slots=True)
class ConnectionSettingsStatus:
    """``AgentToServer.connection_settings_status``; ``status`` is the enum number 0–3, of which 1 is `APPLIED_SETTINGS`."""

    last_connection_settings_hash: bytes
    status: int
    error_message: str


@dataclass(frozen=True, slots=True)
class AvailableComponents:
    """``AgentToServer.available_components``. ``components`` is ``None`` when only the hash was reported (S-40).

    Otherwise it maps a component id to ``{"metadata": {…}, "components": {…}}`` (both left out when empty).
    """

    hash: bytes
    components: JsonObject | None


@dataclass(frozen=True, slots=True)
class CustomMessage:
    """One ``custom_message``; ``data`` is opaque (S-95)."""

    capability: str
    type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class StatusReport:
    """One decoded ``AgentToServer``.

    ``instance_uid`` is the 16 bytes as a UUID. ``capabilities`` is the raw mask with undefined bits removed; 0 after a
    non-zero one means "not repeated" (S-57). Everything below ``capabilities`` is ``None``/``False`` when omitted.
    """

    instance_uid: UUID
    sequence_num: int = 0
    capabilities: int = 0
    agent_description: AgentDescription | None = None
    health: ComponentHealth | None = None
    effective_config: EffectiveConfig | None = None
    remote_config_status: RemoteConfigStatus | None = None
    package_statuses: JsonObject | None = None
    custom_capabilities: tuple[str, ...] | None = None
    available_components: AvailableComponents | None = None
    connection_settings_status: ConnectionSettingsStatus | None = None
    # One-shot members, never inherited (S-41).
    agent_disconnect: bool = False
    requests_instance_uid: bool = False
    certificate_request: bytes | None = None
    custom_message: CustomMessage | None = None

    def carries_news(self) -> bool:
        """True when any member beside uid, sequence number and capabilities is present: not a bare heartbeat."""
        return not (
            self.agent_description is None
            and self.health is None
            and self.effective_config is None
            and self.remote_config_status is None
            and self.package_statuses is None
            and self.custom_capabilities is None
            and self.available_components is None
            and self.connection_settings_status is None
            and not self.agent_disconnect
            and not self.requests_instance_uid
            and self.certificate_request is None
            and self.custom_message is None
        )


class Heartbeat(NamedTuple):
    """An ``AgentToServer`` that carries nothing but these; ``instance_uid`` are its 16 bytes."""

    instance_uid: bytes
    sequence_num: int
    capabilities: int


class Status(enum.StrEnum):
    """The single word the first API shows; derived from three facts that stay apart (never merged)."""

    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    CONFIGURING = "configuring"
    ERROR = "error"


class Facts(NamedTuple):
    """The facts a status is derived from, under the names of the agent's fields.

    ``healthy`` is ``None`` when never reported (S-71: unknown, not unhealthy). ``in_sync`` is ``None`` when nothing is
    desired. ``config_failed`` is true when the agent answered FAILED to the configuration it should run,
    ``config_applying`` while its answer is APPLYING.
    """

    connected: bool
    healthy: bool | None
    in_sync: bool | None
    config_failed: bool
    config_applying: bool = False


FACT_NAMES: tuple[str, ...] = Facts._fields  # noqa: SLF001  public, however it is spelled


def derived_status(facts: Facts) -> Status:
    """The one rule for `Status`: never sticky, because it looks at nothing but the present facts.

    While an agent applies what it should run its Collector restarts: that it is unhealthy then says nothing yet.
    """
    if not facts.connected:
        return Status.DISCONNECTED
    if facts.config_failed:
        return Status.ERROR
    if facts.config_applying:
        return Status.CONFIGURING
    if facts.healthy is False:
        return Status.ERROR
    if facts.in_sync is False:
        return Status.CONFIGURING
    return Status.CONNECTED


def is_complete(report: StatusReport, capabilities: int) -> bool:
    """True when ``report`` carries everything ``capabilities`` imply, so that no full state need be asked for (S-43).

    The description is always expected; each other member only when its reporting bit is set (S-70).
    """
    expected: tuple[tuple[AgentCapabilities, object], ...] = (
        (AgentCapabilities.REPORTS_EFFECTIVE_CONFIG, report.effective_config),
        (AgentCapabilities.REPORTS_REMOTE_CONFIG, report.remote_config_status),
        (AgentCapabilities.REPORTS_HEALTH, report.health),
        (AgentCapabilities.REPORTS_PACKAGE_STATUSES, report.package_statuses),
        (AgentCapabilities.REPORTS_AVAILABLE_COMPONENTS, report.available_components),
    )
    return report.agent_description is not None and all(
        value is not None for bit, value in expected if capabilities & bit
    )


def answers_full_state(report: StatusReport, capabilities: int) -> bool:
    """True when ``report`` can only be the answer to ReportFullState, or a first message that tells as much.

    Clients may have no effective configuration to tell, and leave packages and components out: those do not count.
    """
    return (
        report.agent_description is not None
        and (report.health is not None or not capabilities & AgentCapabilities.REPORTS_HEALTH)
        and (report.remote_config_status is not None or not capabilities & AgentCapabilities.REPORTS_REMOTE_CONFIG)
    )


def from_unix_nano(nanoseconds: int) -> datetime | None:
    """A UTC time, or ``None`` for 0 ("not running", S-72) and for times outside the calendar."""
    if nanoseconds <= 0:
        return None
    try:
        return datetime.fromtimestamp(nanoseconds / 1e9, tz=UTC)
    except (OverflowError, ValueError, OSError):
        return None
