"""Protobuf bytes to `StatusReport`, `Reply` to protobuf bytes. The only file that sees protobuf.

Pure: no transport (bodies come and go without the WebSocket header), no state, no decisions about what to say.

Decoding makes every value safe to store as it is:

* U+0000 becomes U+FFFD in all text, because PostgreSQL refuses it in ``text`` and in ``jsonb``. Lone surrogates cannot
  occur: proto3 strings are checked UTF-8.
* Doubles that JSON lacks become ``"NaN"``, ``"Infinity"``, ``"-Infinity"``.
* Unknown fields are ignored and unknown enum numbers count as unset (S-112).
* Nesting ends at the 100 message levels of upb: deeper does not decode, so the recursion here is bounded by it. A health
  tree may have 49 levels below its root (S-71).

``sequence_num`` is unsigned 64 bits and may exceed a signed database integer; it stays a Python int here.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping
from typing import cast
from uuid import UUID

from google.protobuf.internal import api_implementation
from google.protobuf.message import DecodeError

from agents.reports import (
    DEFINED_CAPABILITIES,
    AgentDescription,
    AvailableComponents,
    ComponentHealth,
    ConnectionSettingsStatus,
    CustomMessage,
    EffectiveConfig,
    Heartbeat,
    Json,
    JsonObject,
    RemoteConfigStatus,
    RemoteConfigStatuses,
    StatusReport,
)
from opamp_transport.proto import anyvalue_pb2, opamp_pb2
from opamp_transport.protocol.errors import BadInstanceUid, MalformedMessage
from opamp_transport.protocol.framing import Body

_REMOTE_CONFIG_STATUSES = {int(status): status for status in RemoteConfigStatuses}
_CONNECTION_SETTINGS_STATUSES = frozenset(opamp_pb2.ConnectionSettingsStatuses.values())
_PACKAGE_STATUS_NAMES = {
    number: name.removeprefix("PackageStatusEnum_") for name, number in opamp_pb2.PackageStatusEnum.items()
}


def assert_fast_protobuf() -> None:
    """Raises RuntimeError unless protobuf runs on upb: pure Python is a hundred times slower and has other limits."""
    implementation = api_implementation.Type()
    if implementation != "upb":
        raise RuntimeError(
            f"protobuf runs on its {implementation!r} implementation, which is too slow for a fleet. Unset "
            "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION and install the binary wheel: "
            "pip install --force-reinstall --only-binary protobuf protobuf"
        )


def decode_report(body: Body) -> StatusReport:
    """One ``AgentToServer`` without header.

    Raises MalformedMessage: broken wire format, text that is not UTF-8, nesting too deep.
    Raises BadInstanceUid: the uid is not 16 bytes; its version nibble is not looked at (S-25).
    """
    message = _message(body)
    uid = message.instance_uid
    if len(uid) != 16:
        raise BadInstanceUid(uid)
    has = message.HasField
    return StatusReport(
        instance_uid=UUID(bytes=uid),
        sequence_num=message.sequence_num,
        capabilities=message.capabilities & DEFINED_CAPABILITIES,
        agent_description=_agent_description(message.agent_description) if has("agent_description") else None,
        health=_health(message.health) if has("health") else None,
        effective_config=_effective_config(message.effective_config) if has("effective_config") else None,
        remote_config_status=(
            _remote_config_status(message.remote_config_status) if has("remote_config_status") else None
        ),
        package_statuses=_package_statuses(message.package_statuses) if has("package_statuses") else None,
        custom_capabilities=(
            tuple(_text(name) for name in message.custom_capabilities.capabilities)
            if has("custom_capabilities")
            else None
        ),
        available_components=(
            _available_components(message.available_components) if has("available_components") else None
        ),
        connection_settings_status=(
            _connection_settings_status(message.connection_settings_status)
            if has("connection_settings_status")
            else None
        ),
        agent_disconnect=has("agent_disconnect"),
        requests_instance_uid=bool(message.flags & opamp_pb2.AgentToServerFlags_RequestInstanceUid),
        certificate_request=(
            _certificate_request(message.connection_settings_request) if has("connection_settings_request") else None
        ),
        custom_message=_custom_message(message.custom_message) if has("custom_message") else None,
    )


def decode_heartbeat(body: Body) -> Heartbeat | None:
    """The message when it carries nothing but its uid, sequence number and capabilities; ``None`` for every other.

    A fifth of the cost of `decode_report`, which says what the others are, and what is wrong with them.
    """
    try:
        message = opamp_pb2.AgentToServer.FromString(cast("bytes", body))
    except DecodeError:
        return None
    uid, sequence_num, capabilities = message.instance_uid, message.sequence_num, message.capabilities
    # Only what is set counts, sub-messages that are present but empty included.
    if len(uid) != 16 or len(message.ListFields()) != 1 + bool(sequence_num) + bool(capabilities):
        return None
    return Heartbeat(uid, sequence_num, capabilities & DEFINED_CAPABILITIES)


def _message(body: Body) -> opamp_pb2.AgentToServer:
    try:
        return opamp_pb2.AgentToServer.FromString(cast("bytes", body))
    except DecodeError as error:
        raise MalformedMessage(
            "The bytes do not decode as AgentToServer: the wire format is broken, a string is not UTF-8, "
            f"or messages nest deeper than 100 levels ({error})."
        ) from error


# --- From the wire ---------------------------------------------------------------------------------------------------


def _text(value: str) -> str:
    return value.replace("\x00", "\ufffd") if "\x00" in value else value


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _double(value: float) -> float | str:
    if math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _any_value(value: anyvalue_pb2.AnyValue) -> Json:
    match value.WhichOneof("value"):
        case "string_value":
            return _text(value.string_value)
        case "bool_value":
            return value.bool_value
        case "int_value":
            return value.int_value
        case "double_value":
            return _double(value.double_value)
        case "array_value":
            return [_any_value(item) for item in value.array_value.values]
        case "kvlist_value":
            return _attributes(value.kvlist_value.values)
        case "bytes_value":
            return {"base64": _base64(value.bytes_value)}
        case _:
            return None


def _attributes(pairs: Iterable[anyvalue_pb2.KeyValue]) -> dict[str, Json]:
    """Of a key reported twice the last one counts."""
    return {_text(pair.key): _any_value(pair.value) for pair in pairs}


def _agent_description(message: opamp_pb2.AgentDescription) -> AgentDescription:
    return AgentDescription(
        identifying_attributes=_attributes(message.identifying_attributes),
        non_identifying_attributes=_attributes(message.non_identifying_attributes),
    )


def _health(message: opamp_pb2.ComponentHealth) -> ComponentHealth:
    return ComponentHealth(
        healthy=message.healthy,
        last_error=_text(message.last_error),
        status=_text(message.status),
        start_time_unix_nano=message.start_time_unix_nano,
        status_time_unix_nano=message.status_time_unix_nano,
        tree=_health_node(message),
    )


def _health_node(message: opamp_pb2.ComponentHealth) -> JsonObject:
    node: dict[str, Json] = {
        "status": _text(message.status),
        "last_error": _text(message.last_error),
        "start_time_unix_nano": message.start_time_unix_nano,
        "status_time_unix_nano": message.status_time_unix_nano,
        "attributes": _attributes(message.attributes),
        "components": {_text(name): _health_node(child) for name, child in message.component_health_map.items()},
    }
    return {"healthy": message.healthy, **_without_empty(node)}


def _without_empty(node: Mapping[str, Json]) -> dict[str, Json]:
    return {name: value for name, value in node.items() if value}


def _effective_config(message: opamp_pb2.EffectiveConfig) -> EffectiveConfig:
    """An absent config map is an empty one (S-69)."""
    return EffectiveConfig(files={_text(key): _file(file) for key, file in message.config_map.config_map.items()})


def _file(message: opamp_pb2.AgentConfigObject) -> JsonObject:
    """A body that is no text, or text the database would refuse, is kept exactly, in base64."""
    content: dict[str, Json]
    try:
        content = {"body": message.body.decode("utf-8")}
    except UnicodeDecodeError:
        content = {"body_base64": _base64(message.body)}
    else:
        if b"\x00" in message.body:
            content = {"body_base64": _base64(message.body)}
    return content | _without_empty({"content_type": _text(message.content_type), "role": _text(message.role)})


def _remote_config_status(message: opamp_pb2.RemoteConfigStatus) -> RemoteConfigStatus:
    return RemoteConfigStatus(
        last_remote_config_hash=message.last_remote_config_hash,
        status=_REMOTE_CONFIG_STATUSES.get(message.status, RemoteConfigStatuses.UNSET),
        error_message=_text(message.error_message),
    )


def _connection_settings_status(message: opamp_pb2.ConnectionSettingsStatus) -> ConnectionSettingsStatus:
    return ConnectionSettingsStatus(
        last_connection_settings_hash=message.last_connection_settings_hash,
        status=int(message.status) if message.status in _CONNECTION_SETTINGS_STATUSES else 0,
        error_message=_text(message.error_message),
    )


def _package_statuses(message: opamp_pb2.PackageStatuses) -> JsonObject:
    """``{"packages": {name: package}, "server_provided_all_packages_hash": hex, "error_message": str}``."""
    return {
        "packages": {_text(name): _package(package) for name, package in message.packages.items()},
        "server_provided_all_packages_hash": message.server_provided_all_packages_hash.hex(),
        "error_message": _text(message.error_message),
    }


def _package(message: opamp_pb2.PackageStatus) -> JsonObject:
    """All members always, hashes in hex; ``download_…`` only when the agent tells of a download.

    An unknown status is ``"Unknown"``: the zero value means Installed, which would be a claim (S-92, S-112).
    """
    package: dict[str, Json] = {
        "version": _text(message.agent_has_version),
        "hash": message.agent_has_hash.hex(),
        "server_offered_version": _text(message.server_offered_version),
        "server_offered_hash": message.server_offered_hash.hex(),
        "status": _PACKAGE_STATUS_NAMES.get(message.status, "Unknown"),
        "error_message": _text(message.error_message),
    }
    if message.HasField("download_details"):
        package["download_percent"] = _double(message.download_details.download_percent)
        package["download_bytes_per_second"] = _double(message.download_details.download_bytes_per_second)
    return package


def _available_components(message: opamp_pb2.AvailableComponents) -> AvailableComponents:
    return AvailableComponents(hash=message.hash, components=_components(message.components) or None)


def _components(children: Mapping[str, opamp_pb2.ComponentDetails]) -> dict[str, Json]:
    return {
        _text(name): _without_empty(
            {"metadata": _attributes(child.metadata), "components": _components(child.sub_component_map)}
        )
        for name, child in children.items()
    }


def _certificate_request(message: opamp_pb2.ConnectionSettingsRequest) -> bytes | None:
    """The CSR, ``b""`` when it is missing; ``None`` when there is nothing to act on (S-88)."""
    return message.opamp.certificate_request.csr if message.HasField("opamp") else None


def _custom_message(message: opamp_pb2.CustomMessage) -> CustomMessage:
    return CustomMessage(capability=_text(message.capability), type=_text(message.type), data=message.data)
