"""`decode_report`: golden frames and tables of cases; the other ``test_messages_…`` have the rest."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.reports import (
    AgentDescription,
    AvailableComponents,
    ConnectionSettingsStatus,
    CustomMessage,
    RemoteConfigStatus,
    RemoteConfigStatuses,
    StatusReport,
)
from opamp_transport.proto import anyvalue_pb2, opamp_pb2
from opamp_transport.protocol.errors import BadInstanceUid
from opamp_transport.protocol.framing import unwrap, wrap
from opamp_transport.protocol.messages import assert_fast_protobuf, decode_heartbeat, decode_report
from tests.opamp_transport.protocol.wire import (
    UID,
    frame,
    key_values,
    report_body,
)


class TestGoldenReports:
    """The frames of the digest, section 2: decoded as described, and byte-identical when encoded again."""

    @pytest.mark.rule("S-05", "S-07", "S-49")
    @pytest.mark.parametrize(
        ("message", "report"),
        [
            pytest.param(frame("1001208140"), StatusReport(UID, sequence_num=1, capabilities=0x2001), id="heartbeat"),
            pytest.param(frame("2001"), StatusReport(UID, sequence_num=0, capabilities=1), id="sequence number absent"),
            pytest.param(
                frame("100220014a00"),
                StatusReport(UID, sequence_num=2, capabilities=1, agent_disconnect=True),
                id="disconnect",
            ),
        ],
    )
    def test_decodes(self, message: bytes, report: StatusReport) -> None:
        body = unwrap(message)
        assert decode_report(body) == report
        assert wrap(opamp_pb2.AgentToServer.FromString(body).SerializeToString()) == message

    def test_a_heartbeat_carries_no_news(self) -> None:
        assert not decode_report(unwrap(frame("1001208140"))).carries_news()
        assert decode_report(unwrap(frame("100220014a00"))).carries_news()


class TestHeartbeat:
    """What `decode_heartbeat` takes for one, and what has more to say."""

    @pytest.mark.rule("S-37", "S-57")
    @pytest.mark.parametrize(
        ("parts", "told"),
        [
            ({"sequence_num": 300, "capabilities": 0x2801}, (300, 0x2801)),
            ({"sequence_num": 2**64 - 1}, (2**64 - 1, 0)),
            ({"capabilities": 1}, (0, 1)),
            ({}, (0, 0)),
            ({"sequence_num": 7, "capabilities": 1 | 1 << 60}, (7, 1)),
        ],
    )
    def test_uid_number_and_capabilities_alone(self, parts: dict[str, Any], told: tuple[int, int]) -> None:
        assert decode_heartbeat(report_body(**parts)) == (UID.bytes, *told)

    @pytest.mark.rule("S-112")
    def test_a_field_of_the_future_is_ignored(self) -> None:
        body = report_body(sequence_num=1) + b"\xfa\x07\x01x"
        assert decode_heartbeat(body) == (UID.bytes, 1, 0)
        assert not decode_report(body).carries_news()

    @pytest.mark.rule("S-40", "S-41")
    @pytest.mark.parametrize("part", [field.name for field in opamp_pb2.AgentToServer.DESCRIPTOR.fields])
    def test_a_message_with_any_other_member_is_none(self, part: str) -> None:
        message = opamp_pb2.AgentToServer.FromString(report_body(sequence_num=1))
        if part in {"instance_uid", "sequence_num", "capabilities"}:
            assert decode_heartbeat(message.SerializeToString()) is not None
            return
        if part == "flags":
            message.flags = 1
        else:
            getattr(message, part).SetInParent()
        assert decode_heartbeat(message.SerializeToString()) is None

    @pytest.mark.parametrize("body", [b"", b"\xff", b"\x0a\x05abc", b"\x10\x01"])
    def test_what_is_wrong_is_none(self, body: bytes) -> None:
        assert decode_heartbeat(body) is None

    def test_another_length_of_uid_is_none(self) -> None:
        assert decode_heartbeat(report_body(instance_uid=bytes(15))) is None


class TestInstanceUid:
    @pytest.mark.rule("S-25", "S-100")
    @pytest.mark.parametrize("uid", [b"", b"x", bytes(15), bytes(17), b"01J1M1P4ZM7SFHQ2K4Q5R6S7T8", str(UID).encode()])
    def test_any_other_length_is_refused_and_echoed(self, uid: bytes) -> None:
        with pytest.raises(BadInstanceUid, match=f"16 bytes.* got {len(uid)} bytes") as caught:
            decode_report(report_body(instance_uid=uid))
        assert caught.value.instance_uid == uid

    @pytest.mark.rule("S-07", "S-25")
    def test_the_empty_message_has_no_uid(self) -> None:
        with pytest.raises(BadInstanceUid, match="got 0 bytes"):
            decode_report(unwrap(b"\x00"))

    @pytest.mark.rule("S-25")
    def test_a_huge_uid_is_not_echoed(self) -> None:
        with pytest.raises(BadInstanceUid, match="got 100000 bytes") as caught:
            decode_report(report_body(instance_uid=bytes(100_000)))
        assert caught.value.instance_uid == b""

    @pytest.mark.rule("S-25")
    @pytest.mark.parametrize("uid", [bytes(16), b"\xff" * 16, UUID("6ba7b810-9dad-41d1-80b4-00c04fd430c8").bytes])
    def test_the_version_is_not_checked(self, uid: bytes) -> None:
        assert decode_report(report_body(instance_uid=uid)).instance_uid == UUID(bytes=uid)


class TestScalars:
    @pytest.mark.rule("S-54")
    def test_undefined_capabilities_are_ignored(self) -> None:
        assert decode_report(report_body(capabilities=0xFFFF_FFFF_FFFF_0003)).capabilities == 0x3

    @pytest.mark.rule("S-49")
    @pytest.mark.parametrize("number", [0, 1, 2**63, 2**64 - 1])
    def test_sequence_numbers_up_to_64_bits(self, number: int) -> None:
        assert decode_report(report_body(sequence_num=number)).sequence_num == number

    @pytest.mark.rule("S-28", "S-41")
    @pytest.mark.parametrize(("flags", "requested"), [(0, False), (1, True), (2, False), (0xFF, True)])
    def test_request_for_a_uid(self, flags: int, requested: bool) -> None:
        assert decode_report(report_body(flags=flags)).requests_instance_uid is requested

    @pytest.mark.rule("S-112")
    def test_unknown_fields_are_ignored(self) -> None:
        unknown = bytes.fromhex("c23e03616263")  # field 1000, three bytes
        assert decode_report(report_body(sequence_num=5) + unknown) == StatusReport(UID, sequence_num=5)


class TestPresence:
    """Absent and present-but-empty stay apart for every sub-message."""

    @pytest.mark.rule("S-39")
    def test_what_is_absent_is_none(self) -> None:
        assert decode_report(report_body()) == StatusReport(UID)

    @pytest.mark.rule("S-39", "S-40", "S-93")
    @pytest.mark.parametrize(
        ("member", "value"),
        [
            ("agent_description", AgentDescription({}, {})),
            ("remote_config_status", RemoteConfigStatus(b"", RemoteConfigStatuses.UNSET, "")),
            ("package_statuses", {"packages": {}, "server_provided_all_packages_hash": "", "error_message": ""}),
            ("custom_capabilities", ()),
            ("available_components", AvailableComponents(b"", None)),
            ("connection_settings_status", ConnectionSettingsStatus(b"", 0, "")),
            ("custom_message", CustomMessage("", "", b"")),
            ("agent_disconnect", True),
        ],
    )
    def test_what_is_present_and_empty_is_reported_empty(self, member: str, value: object) -> None:
        message = opamp_pb2.AgentToServer(instance_uid=UID.bytes)
        getattr(message, member).SetInParent()
        report = decode_report(message.SerializeToString())
        assert getattr(report, member) == value
        assert report.carries_news()

    @pytest.mark.rule("S-39", "S-69")
    @pytest.mark.parametrize("effective", [opamp_pb2.EffectiveConfig(), opamp_pb2.EffectiveConfig(config_map={})])
    def test_an_effective_config_without_map_is_empty(self, effective: opamp_pb2.EffectiveConfig) -> None:
        report = decode_report(report_body(effective_config=effective))
        assert report.effective_config is not None
        assert report.effective_config.files == {}

    @pytest.mark.rule("S-71")
    def test_empty_health_is_unhealthy_and_not_unknown(self) -> None:
        health = decode_report(report_body(health=opamp_pb2.ComponentHealth())).health
        assert health is not None
        assert health.healthy is False
        assert health.tree == {"healthy": False}


def _described(attributes: list[anyvalue_pb2.KeyValue]) -> Mapping[str, object]:
    report = decode_report(
        report_body(agent_description=opamp_pb2.AgentDescription(non_identifying_attributes=attributes))
    )
    assert report.agent_description is not None
    assert report.agent_description.identifying_attributes == {}
    return report.agent_description.non_identifying_attributes


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**63), max_value=2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])), inner, max_size=4
        )
    ),
    max_leaves=12,
)


class TestAttributes:
    @given(st.dictionaries(st.sampled_from(["service.name", "os.type", "", "键"]), JSON_VALUES))
    def test_json_values_arrive_as_they_are(self, attributes: dict[str, object]) -> None:
        assert json.dumps(_described(key_values(attributes))) == json.dumps(attributes)

    @pytest.mark.parametrize(
        ("wire", "value"),
        [
            pytest.param(math.nan, "NaN", id="NaN"),
            pytest.param(math.inf, "Infinity", id="infinity"),
            pytest.param(-math.inf, "-Infinity", id="minus infinity"),
            pytest.param(b"\x00\xff", {"base64": "AP8="}, id="bytes"),
            pytest.param("a\x00b", "a\ufffdb", id="NUL"),
            pytest.param({"a\x00": ["\x00"]}, {"a\ufffd": ["\ufffd"]}, id="NUL below"),
            pytest.param(0, 0, id="zero is not null"),
            pytest.param("", "", id="empty is not null"),
        ],
    )
    def test_values_json_or_the_database_lack(self, wire: object, value: object) -> None:
        assert _described(key_values({"k": wire})) == {"k": value}

    def test_the_last_of_a_repeated_key_counts(self) -> None:
        assert _described(key_values({"k": 1}) + key_values({"k": 2})) == {"k": 2}

    def test_a_key_without_value_is_null(self) -> None:
        assert _described([anyvalue_pb2.KeyValue(key="k")]) == {"k": None}


class TestOneShots:
    @pytest.mark.rule("S-93", "S-95")
    def test_custom_capabilities_and_message(self) -> None:
        report = decode_report(
            report_body(
                custom_capabilities=opamp_pb2.CustomCapabilities(capabilities=["com.example.a/1", "b\x00"]),
                custom_message=opamp_pb2.CustomMessage(capability="com.example.a/1", type="t", data=b"\x00\xff"),
            )
        )
        assert report.custom_capabilities == ("com.example.a/1", "b\ufffd")
        assert report.custom_message == CustomMessage("com.example.a/1", "t", b"\x00\xff")

    @pytest.mark.rule("S-88")
    @pytest.mark.parametrize(
        ("request_hex", "csr"),
        [("5a00", None), ("5a020a00", b""), ("5a040a020a00", b""), ("5a070a050a030a0170", b"p")],
    )
    def test_certificate_request(self, request_hex: str, csr: bytes | None) -> None:
        assert decode_report(report_body() + bytes.fromhex(request_hex)).certificate_request == csr


class TestFastProtobuf:
    def test_this_installation_is_fast(self) -> None:
        assert_fast_protobuf()

    def test_the_slow_one_is_refused_with_advice(self) -> None:
        program = "from opamp_transport.protocol.messages import assert_fast_protobuf; assert_fast_protobuf()"
        slow = subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert slow.returncode == 1
        assert "Unset PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION" in slow.stderr
