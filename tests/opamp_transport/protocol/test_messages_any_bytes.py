"""`decode_report` on whatever arrives: arbitrary bytes, damaged and truncated reports, reports of random shape."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from agents.reports import Json, StatusReport
from opamp_transport.proto import opamp_pb2
from opamp_transport.protocol.errors import MalformedMessage, ProtocolError
from opamp_transport.protocol.messages import decode_report
from tests.opamp_transport.protocol.wire import UID, UID_FIELD, frame, key_values, length_delimited, report_body


def _everything() -> bytes:
    """A report that uses every member of ``AgentToServer``."""
    return report_body(
        sequence_num=300,
        capabilities=0xFFFF,
        flags=1,
        agent_description=opamp_pb2.AgentDescription(
            identifying_attributes=key_values({"service.name": "collector", "n": [1, 2.5, None, True, {"b": b"\x01"}]})
        ),
        health=opamp_pb2.ComponentHealth(
            healthy=True, start_time_unix_nano=1, component_health_map={"p": opamp_pb2.ComponentHealth(status="s")}
        ),
        effective_config=opamp_pb2.EffectiveConfig(
            config_map=opamp_pb2.AgentConfigMap(config_map={"": opamp_pb2.AgentConfigObject(body=b"a: 1\n")})
        ),
        remote_config_status=opamp_pb2.RemoteConfigStatus(
            last_remote_config_hash=b"h", status="RemoteConfigStatuses_FAILED", error_message="e"
        ),
        package_statuses=opamp_pb2.PackageStatuses(packages={"p": opamp_pb2.PackageStatus(name="p")}),
        agent_disconnect=opamp_pb2.AgentDisconnect(),
        connection_settings_request=opamp_pb2.ConnectionSettingsRequest(
            opamp=opamp_pb2.OpAMPConnectionSettingsRequest(certificate_request=opamp_pb2.CertificateRequest(csr=b"pem"))
        ),
        custom_capabilities=opamp_pb2.CustomCapabilities(capabilities=["c"]),
        custom_message=opamp_pb2.CustomMessage(capability="c", type="t", data=b"d"),
        available_components=opamp_pb2.AvailableComponents(
            hash=b"h", components={"r": opamp_pb2.ComponentDetails(metadata=key_values({"k": "v"}))}
        ),
        connection_settings_status=opamp_pb2.ConnectionSettingsStatus(last_connection_settings_hash=b"h"),
    )


def _assert_storable(report: StatusReport) -> None:
    """Every JSON-ready member is JSON that PostgreSQL takes: no NaN, no U+0000."""
    members: list[Json | tuple[str, ...]] = [report.package_statuses, report.custom_capabilities]
    if report.agent_description is not None:
        members += [
            report.agent_description.identifying_attributes,
            report.agent_description.non_identifying_attributes,
        ]
    if report.health is not None:
        members += [report.health.tree, report.health.last_error, report.health.status]
    if report.effective_config is not None:
        members.append(report.effective_config.files)
    if report.available_components is not None:
        members.append(report.available_components.components)
    for status in (report.remote_config_status, report.connection_settings_status):
        members.append(status.error_message if status else None)
    if report.custom_message is not None:
        members += [report.custom_message.capability, report.custom_message.type]
    assert "\\u0000" not in json.dumps(members, allow_nan=False).replace("\\\\", "")


class TestAnyBytes:
    """Whatever arrives becomes a storable report or a `ProtocolError`, and nothing else."""

    @pytest.mark.rule("S-100", "S-111")
    @given(st.binary() | st.binary().map(lambda tail: UID_FIELD + tail))
    def test_arbitrary_bytes(self, body: bytes) -> None:
        try:
            report = decode_report(body)
        except ProtocolError:
            return
        _assert_storable(report)

    @pytest.mark.rule("S-100", "S-111")
    @given(st.data())
    def test_damaged_reports(self, data: st.DataObject) -> None:
        body = bytearray(_everything())
        for position in data.draw(st.lists(st.integers(0, len(body) - 1), min_size=1, max_size=4)):
            body[position] = data.draw(st.integers(0, 255))
        try:
            report = decode_report(bytes(body))
        except ProtocolError:
            return
        _assert_storable(report)

    @pytest.mark.rule("S-100")
    @pytest.mark.parametrize("body", [_everything(), frame("100220014a00")[1:]])
    def test_every_prefix(self, body: bytes) -> None:
        for length in range(len(body)):
            try:
                report = decode_report(body[:length])
            except ProtocolError:
                continue
            _assert_storable(report)
            # Cut between two members: what is left is a report of fewer members, never a different value of one.
            assert length >= 18
            assert report != decode_report(body)

    @pytest.mark.rule("S-100")
    def test_text_that_is_not_utf8_is_malformed(self) -> None:
        with pytest.raises(MalformedMessage, match="UTF-8"):
            decode_report(report_body() + bytes.fromhex("62030a01ff"))  # custom_capabilities: ["\xff"]

    @given(st.data())
    def test_reports_of_random_shape(self, data: st.DataObject) -> None:
        message = opamp_pb2.AgentToServer()
        _fill(message, data, levels=4)
        message.instance_uid = UID.bytes
        report = decode_report(message.SerializeToString())
        _assert_storable(report)
        assert report.sequence_num == message.sequence_num
        for member in ("health", "effective_config", "package_statuses", "available_components", "custom_message"):
            assert (getattr(report, member) is not None) == message.HasField(member)


def _nested(levels: int, innermost: bytes, *fields: int) -> bytes:
    """``innermost`` within ``levels`` rounds of ``fields``, outermost first; by hand, as protobuf will not build it."""
    content = innermost
    for _ in range(levels):
        for field in reversed(fields):
            content = length_delimited(field, content)
    return content


class TestNesting:
    @pytest.mark.rule("S-71", "S-100")
    @pytest.mark.parametrize(
        ("outer", "inner", "deepest"),
        [
            pytest.param((5,), (6, 2), 49, id="health: map entry, value"),
            pytest.param((14, 1, 2), (2, 2), 48, id="components: map entry, value"),
            pytest.param((3, 1, 2), (5, 1), 48, id="attribute: array, value"),
            pytest.param((3, 1, 2), (6, 1, 2), 32, id="attribute: list of pairs, pair, value"),
        ],
    )
    def test_the_deepest_that_decodes_is_kept_and_deeper_is_malformed(
        self, outer: tuple[int, ...], inner: tuple[int, ...], deepest: int
    ) -> None:
        def body(levels: int) -> bytes:
            return UID_FIELD + _nested(1, _nested(levels, b"", *inner), *outer)

        assert decode_report(body(deepest)).carries_news()
        for levels in (deepest + 1, 200, 5000):
            with pytest.raises(MalformedMessage, match="nest deeper than 100 levels"):
                decode_report(body(levels))

    @pytest.mark.rule("S-71")
    def test_the_deepest_health_tree_that_decodes_is_kept_whole(self) -> None:
        sick_leaf = length_delimited(3, b"disk full")
        report = decode_report(UID_FIELD + _nested(1, _nested(49, sick_leaf, 6, 2) + b"\x08\x01", 5))
        assert report.health is not None
        node: Any = report.health.tree
        assert node["healthy"] is True
        depth = 0
        while "components" in node:
            node, depth = node["components"][""], depth + 1
        assert (depth, node["last_error"]) == (49, "disk full")


SCALARS: dict[int, st.SearchStrategy[Any]] = {
    FieldDescriptor.TYPE_STRING: st.text(max_size=5),
    FieldDescriptor.TYPE_BYTES: st.binary(max_size=5),
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_DOUBLE: st.floats(),
    FieldDescriptor.TYPE_INT64: st.integers(-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_UINT64: st.integers(0, 2**64 - 1),
    FieldDescriptor.TYPE_FIXED64: st.integers(0, 2**64 - 1),
    FieldDescriptor.TYPE_ENUM: st.integers(-(2**31), 2**31 - 1),
}


def _fill(message: Message, data: st.DataObject, *, levels: int) -> None:
    """Sets a random choice of the fields of ``message``, by its descriptor, down to ``levels`` levels."""
    fields = message.DESCRIPTOR.fields
    chosen = data.draw(st.sets(st.integers(0, len(fields) - 1))) if fields else set()
    for field in (fields[index] for index in sorted(chosen)):
        if field.message_type is None:
            if field.is_repeated:
                getattr(message, field.name).extend(data.draw(st.lists(SCALARS[field.type], max_size=2)))
            else:
                setattr(message, field.name, data.draw(SCALARS[field.type]))
        elif levels > 0:
            if field.message_type.GetOptions().map_entry:
                for key in data.draw(st.lists(st.text(max_size=5), max_size=2)):
                    _fill(getattr(message, field.name)[key], data, levels=levels - 1)
            elif field.is_repeated:
                for _ in range(data.draw(st.integers(0, 2))):
                    _fill(getattr(message, field.name).add(), data, levels=levels - 1)
            else:
                getattr(message, field.name).SetInParent()
                _fill(getattr(message, field.name), data, levels=levels - 1)
