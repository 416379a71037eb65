"""Our .proto files against the schema inside an independent client, and against the sizes of specification v0.20.0."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, FileDescriptor
from opentelemetry._opamp.proto import anyvalue_pb2 as client_anyvalue_pb2
from opentelemetry._opamp.proto import opamp_pb2 as client_opamp_pb2

from opamp_transport.proto import anyvalue_pb2, opamp_pb2

OURS = (opamp_pb2.DESCRIPTOR, anyvalue_pb2.DESCRIPTOR)
THEIRS = (client_opamp_pb2.DESCRIPTOR, client_anyvalue_pb2.DESCRIPTOR)

# What v0.20.0 has and the client's older schema lacks. All of it is compatible on the wire.
RENAMED = {"AgentConfigFile": "AgentConfigObject"}
NEWER_MESSAGES = {"TLSConnectionSettings", "ProxyConnectionSettings", "ConnectionSettingsStatus"}
NEWER_ENUMS = {"ConnectionSettingsStatuses"}
NEWER_FIELDS = {
    "AgentToServer.connection_settings_status",
    "ComponentHealth.attributes",
    "AgentConfigObject.role",
    "OpAMPConnectionSettings.tls",
    "OpAMPConnectionSettings.proxy",
    "TelemetryConnectionSettings.tls",
    "TelemetryConnectionSettings.proxy",
    "OtherConnectionSettings.tls",
    "OtherConnectionSettings.proxy",
}
NEWER_VALUES = {"AgentCapabilities_ReportsConnectionSettingsStatus"}


def _messages(files: tuple[FileDescriptor, ...]) -> Iterator[Descriptor]:
    for file in files:
        yield from file.message_types_by_name.values()


def _enums(files: tuple[FileDescriptor, ...]) -> Iterator[EnumDescriptor]:
    for file in files:
        yield from file.enum_types_by_name.values()


def _type_name(descriptor: Descriptor | EnumDescriptor | None) -> str:
    return "" if descriptor is None else RENAMED.get(descriptor.name, descriptor.name)


def _shape(field: FieldDescriptor) -> tuple[object, ...]:
    """Everything of a field that the wire or a reader can tell: number, type, label, presence, oneof, map entry."""
    nested = field.message_type
    is_map = nested is not None and nested.GetOptions().map_entry
    entry = [_shape(part) for part in nested.fields] if nested is not None and is_map else []
    return (
        field.name,
        field.number,
        field.type,
        field.is_repeated,
        field.is_packed,
        field.has_presence,
        field.containing_oneof.name if field.containing_oneof else "",
        _type_name(nested),
        _type_name(field.enum_type),
        entry,
    )


def _fields(files: tuple[FileDescriptor, ...]) -> dict[str, tuple[object, ...]]:
    return {
        f"{_type_name(message)}.{field.name}": _shape(field) for message in _messages(files) for field in message.fields
    }


def _values(files: tuple[FileDescriptor, ...]) -> dict[str, tuple[str, int]]:
    return {value.name: (enum.name, value.number) for enum in _enums(files) for value in enum.values}


class TestAgainstAnIndependentClient:
    def test_messages(self) -> None:
        ours = {message.name for message in _messages(OURS)}
        theirs = {_type_name(message) for message in _messages(THEIRS)}
        assert ours - theirs == NEWER_MESSAGES
        assert theirs <= ours

    def test_fields(self) -> None:
        ours, theirs = _fields(OURS), _fields(THEIRS)
        newer = {name for name in ours.keys() - theirs.keys() if name.partition(".")[0] not in NEWER_MESSAGES}
        assert newer == NEWER_FIELDS
        assert {name: ours.get(name) for name in theirs} == theirs

    def test_enums(self) -> None:
        ours = {enum.name for enum in _enums(OURS)}
        theirs = {enum.name for enum in _enums(THEIRS)}
        assert ours - theirs == NEWER_ENUMS
        assert theirs <= ours

    def test_enum_values(self) -> None:
        ours, theirs = _values(OURS), _values(THEIRS)
        newer = {name for name in ours.keys() - theirs.keys() if ours[name][0] not in NEWER_ENUMS}
        assert newer == NEWER_VALUES
        assert {name: ours.get(name) for name in theirs} == theirs


class TestSpecificationSizes:
    def test_counts(self) -> None:
        assert len(list(_messages(OURS))) == 41
        assert len(_fields(OURS)) == 136
        assert len(list(_enums(OURS))) == 10
        assert len(_values(OURS)) == 49

    @pytest.mark.parametrize(
        ("name", "number", "kind"),
        [
            ("ComponentHealth.attributes", 7, FieldDescriptor.TYPE_MESSAGE),
            ("AgentConfigObject.role", 3, FieldDescriptor.TYPE_STRING),
            ("AgentToServer.connection_settings_status", 15, FieldDescriptor.TYPE_MESSAGE),
            ("OpAMPConnectionSettings.tls", 5, FieldDescriptor.TYPE_MESSAGE),
            ("OpAMPConnectionSettings.proxy", 6, FieldDescriptor.TYPE_MESSAGE),
            ("TelemetryConnectionSettings.tls", 4, FieldDescriptor.TYPE_MESSAGE),
            ("TelemetryConnectionSettings.proxy", 5, FieldDescriptor.TYPE_MESSAGE),
            ("OtherConnectionSettings.tls", 5, FieldDescriptor.TYPE_MESSAGE),
            ("OtherConnectionSettings.proxy", 6, FieldDescriptor.TYPE_MESSAGE),
            ("ConnectionSettingsStatus.last_connection_settings_hash", 1, FieldDescriptor.TYPE_BYTES),
            ("ConnectionSettingsStatus.status", 2, FieldDescriptor.TYPE_ENUM),
            ("ConnectionSettingsStatus.error_message", 3, FieldDescriptor.TYPE_STRING),
        ],
    )
    def test_fields_newer_than_the_client(self, name: str, number: int, kind: int) -> None:
        assert _fields(OURS)[name][1:3] == (number, kind)


class TestSharedProcess:
    def test_registered_names_are_ours(self) -> None:
        """Other OpAMP packages register ``opamp.proto`` and ``opamp/v1/opamp.proto`` in the same descriptor pool."""
        assert [file.name for file in OURS] == [
            "opamp_transport/proto/opamp.proto",
            "opamp_transport/proto/anyvalue.proto",
        ]
        assert {file.package for file in OURS} == {"opamp.proto.v1"}
        assert {file.name for file in OURS}.isdisjoint(file.name for file in THEIRS)
