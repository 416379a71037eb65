"""`encode_reply`: golden frames, and what may travel with what."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.remote_config import ConfigFile, RemoteConfig
from agents.replies import ErrorResponse, ErrorType, OpampSettings, Reply
from agents.reports import CustomMessage
from opamp_transport.proto import opamp_pb2
from opamp_transport.protocol.encoding import encode_reply
from opamp_transport.protocol.framing import wrap
from tests.opamp_transport.protocol.wire import UID, frame

YAML = RemoteConfig({"": ConfigFile(body=b"a: 1\n", content_type="text/yaml")})


def _reply(body: bytes) -> opamp_pb2.ServerToAgent:
    return opamp_pb2.ServerToAgent.FromString(body)


class TestGoldenReplies:
    """The frames of the digest, section 2."""

    @pytest.mark.rule("S-05", "S-37")
    @pytest.mark.parametrize(
        ("reply", "message"),
        [
            pytest.param(Reply(UID.bytes, capabilities=0), frame(""), id="bare acknowledgement"),
            pytest.param(Reply(UID.bytes, capabilities=0x7F), frame("387f"), id="with capabilities"),
            pytest.param(Reply(UID.bytes, capabilities=0, report_full_state=True), frame("3001"), id="ReportFullState"),
            pytest.param(Reply(UID.bytes, capabilities=0, restart=True), frame("4a00"), id="restart"),
            pytest.param(
                Reply(UID.bytes, error=ErrorResponse(ErrorType.UNAVAILABLE, "", retry_after_seconds=30)),
                frame("120a08021a060880d88ee16f"),
                id="unavailable for 30 s",
            ),
            pytest.param(
                Reply(UID.bytes, capabilities=0, remote_config=YAML, config_hash=b"\x01\x02"),
                frame("1a1e0a180a160a0012120a05613a20310a1209746578742f79616d6c12020102"),
                id="remote config",
            ),
            pytest.param(
                Reply(UID.bytes, capabilities=0, remote_config=RemoteConfig({}), config_hash=b"\x03"),
                frame("1a050a00120103"),
                id="remote config with an empty map",
            ),
        ],
    )
    def test_encodes(self, reply: Reply, message: bytes) -> None:
        assert wrap(encode_reply(reply)) == message


class TestErrorsTravelAlone:
    FULL = Reply(
        UID.bytes,
        report_full_state=True,
        report_available_components=True,
        remote_config=YAML,
        config_hash=b"h",
        opamp_settings=OpampSettings("wss://opamp.example/v1/opamp", 30, b"s"),
        new_instance_uid=UID,
        restart=True,
        custom_capabilities=("c",),
        custom_message=CustomMessage("c", "t", b"d"),
    )

    @pytest.mark.rule("S-38", "S-100")
    @pytest.mark.parametrize("kind", list(ErrorType))
    def test_error(self, kind: ErrorType) -> None:
        error = ErrorResponse(kind, "what to do", retry_after_seconds=1.5)
        reply = _reply(encode_reply(replace(self.FULL, error=error)))
        assert {field.name for field, _ in reply.ListFields()} == {"instance_uid", "error_response"}
        assert reply.error_response.type == kind.value
        assert reply.error_response.error_message == "what to do"
        assert reply.error_response.HasField("retry_info") == (kind is ErrorType.UNAVAILABLE)

    @pytest.mark.rule("S-38")
    def test_an_error_without_type_or_text_is_still_an_error(self) -> None:
        assert _reply(encode_reply(Reply(UID.bytes, error=ErrorResponse(ErrorType.UNKNOWN, "")))).HasField(
            "error_response"
        )

    @pytest.mark.rule("S-101")
    def test_an_unreadable_uid_is_left_out(self) -> None:
        reply = _reply(encode_reply(Reply(b"", error=ErrorResponse(ErrorType.BAD_REQUEST, "no"))))
        assert [field.name for field, _ in reply.ListFields()] == ["error_response"]

    @pytest.mark.rule("S-102")
    @pytest.mark.parametrize(("seconds", "nanoseconds"), [(0, 0), (0.25, 250_000_000), (30, 30 * 10**9)])
    def test_retry_time_is_in_nanoseconds(self, seconds: float, nanoseconds: int) -> None:
        error = ErrorResponse(ErrorType.UNAVAILABLE, "busy", retry_after_seconds=seconds)
        response = _reply(encode_reply(Reply(UID.bytes, error=error))).error_response
        assert response.HasField("retry_info")
        assert response.retry_info.retry_after_nanoseconds == nanoseconds

    @pytest.mark.rule("S-102")
    def test_unavailable_without_a_time(self) -> None:
        error = ErrorResponse(ErrorType.UNAVAILABLE, "busy")
        assert not _reply(encode_reply(Reply(UID.bytes, error=error))).error_response.HasField("retry_info")

    @pytest.mark.rule("S-96", "S-97")
    def test_restart_has_only_uid_and_capabilities_beside_it(self) -> None:
        reply = _reply(encode_reply(self.FULL))
        assert {field.name for field, _ in reply.ListFields()} == {"instance_uid", "capabilities", "command"}
        assert reply.command.type == opamp_pb2.CommandType_Restart


class TestOffers:
    @pytest.mark.rule("S-27", "S-28", "S-29", "S-30")
    def test_a_new_uid_has_16_bytes_and_goes_to_the_old_one(self) -> None:
        assigned = UUID(int=5)
        reply = _reply(encode_reply(Reply(UID.bytes, new_instance_uid=assigned)))
        assert reply.instance_uid == UID.bytes
        assert reply.agent_identification.new_instance_uid == assigned.bytes
        assert not _reply(encode_reply(Reply(UID.bytes))).HasField("agent_identification")

    @pytest.mark.rule("S-59", "S-67")
    def test_an_offer_always_has_config_and_hash(self) -> None:
        offer = _reply(encode_reply(Reply(UID.bytes, remote_config=RemoteConfig({}), config_hash=b"h"))).remote_config
        assert offer.HasField("config")
        assert offer.config_hash == b"h"

    @pytest.mark.rule("S-59")
    def test_an_offer_without_hash_is_not_encoded(self) -> None:
        with pytest.raises(ValueError, match="hash"):
            encode_reply(Reply(UID.bytes, remote_config=YAML))

    @pytest.mark.rule("S-67")
    def test_no_offer_no_field(self) -> None:
        assert not _reply(encode_reply(Reply(UID.bytes, config_hash=b"h"))).HasField("remote_config")

    @pytest.mark.rule("S-68")
    @given(
        st.dictionaries(
            st.text(), st.builds(ConfigFile, body=st.binary(), content_type=st.text(), role=st.text()), max_size=4
        )
    )
    def test_files_pass_unchanged_and_equal_maps_are_equal_bytes(self, files: dict[str, ConfigFile]) -> None:
        config = RemoteConfig(files)
        backwards = RemoteConfig(dict(reversed(files.items())))
        body = encode_reply(Reply(UID.bytes, remote_config=config, config_hash=config.config_hash()))
        assert body == encode_reply(Reply(UID.bytes, remote_config=backwards, config_hash=backwards.config_hash()))
        offered = _reply(body).remote_config.config.config_map
        assert {key: ConfigFile(file.body, file.content_type, file.role) for key, file in offered.items()} == files

    @pytest.mark.rule("S-75", "S-78", "S-79")
    def test_heartbeat_offer(self) -> None:
        offer = OpampSettings("wss://opamp.example/v1/opamp", 45, b"settings")
        settings = _reply(encode_reply(Reply(UID.bytes, opamp_settings=offer))).connection_settings
        assert settings.hash == b"settings"
        assert settings.opamp.destination_endpoint == "wss://opamp.example/v1/opamp"
        assert settings.opamp.heartbeat_interval_seconds == 45
        assert {field.name for field, _ in settings.ListFields()} == {"hash", "opamp"}

    @pytest.mark.rule("S-75", "S-78", "S-79")
    @pytest.mark.parametrize(
        "offer",
        [OpampSettings("", 30, b"h"), OpampSettings("wss://e", 0, b"h"), OpampSettings("wss://e", 30, b"")],
    )
    def test_incomplete_connection_settings_are_not_encoded(self, offer: OpampSettings) -> None:
        with pytest.raises(ValueError, match="connection settings"):
            encode_reply(Reply(UID.bytes, opamp_settings=offer))

    @pytest.mark.rule("S-102")
    @pytest.mark.parametrize("seconds", [-1.0, math.nan, math.inf])
    def test_an_impossible_retry_time_is_not_encoded(self, seconds: float) -> None:
        error = ErrorResponse(ErrorType.UNAVAILABLE, "busy", retry_after_seconds=seconds)
        with pytest.raises(ValueError, match="retry_after_seconds"):
            encode_reply(Reply(UID.bytes, error=error))

    @pytest.mark.rule("S-42", "S-98")
    @pytest.mark.parametrize(("full", "components", "flags"), [(0, 0, 0), (1, 0, 1), (0, 1, 2), (1, 1, 3)])
    def test_flags(self, full: int, components: int, flags: int) -> None:
        reply = Reply(UID.bytes, report_full_state=bool(full), report_available_components=bool(components))
        assert _reply(encode_reply(reply)).flags == flags

    @pytest.mark.rule("S-93")
    @pytest.mark.parametrize("names", [(), ("com.example.a", "com.example.b/2")])
    def test_custom_capabilities_are_present_even_when_empty(self, names: tuple[str, ...]) -> None:
        reply = _reply(encode_reply(Reply(UID.bytes, custom_capabilities=names)))
        assert reply.HasField("custom_capabilities")
        assert tuple(reply.custom_capabilities.capabilities) == names

    @pytest.mark.rule("S-95")
    @pytest.mark.parametrize("custom", [CustomMessage("c", "t", b"\x00\xff"), CustomMessage("", "", b"")])
    def test_custom_message(self, custom: CustomMessage) -> None:
        reply = _reply(encode_reply(Reply(UID.bytes, custom_message=custom)))
        assert reply.HasField("custom_message")
        sent = reply.custom_message
        assert CustomMessage(sent.capability, sent.type, sent.data) == custom

    @pytest.mark.rule("S-53")
    def test_every_reply_carries_capabilities_unless_told_otherwise(self) -> None:
        assert _reply(encode_reply(Reply(UID.bytes))).capabilities & opamp_pb2.ServerCapabilities_AcceptsStatus


@dataclass(frozen=True)
class Said:
    """A member of a reply that no field of `Reply` is for."""

    said: dict[str, Any]

    def fields(self) -> dict[str, Any]:
        return self.said


def test_what_an_app_says_is_written_without_knowing_what_it_means() -> None:
    telemetry = {"destination_endpoint": "https://h/v1/logs", "headers": {"headers": [{"key": "A", "value": "b"}]}}
    others = {"kafka": {"destination_endpoint": "k:1", "other_settings": {"a": "b"}}}
    first = Said({"connection_settings": {"hash": b"h", "own_logs": telemetry, "own_traces": {}}})
    second = Said({"connection_settings": {"hash": b"h", "other_connections": others}})
    third = Said({"agent_identification": {"new_instance_uid": b"n" * 16}})
    reply = Reply(b"u" * 16, further=(first, second, third))
    decoded = opamp_pb2.ServerToAgent.FromString(encode_reply(reply))
    offered = decoded.connection_settings
    assert (offered.hash, offered.own_logs.destination_endpoint) == (b"h", "https://h/v1/logs")
    assert [(each.key, each.value) for each in offered.own_logs.headers.headers] == [("A", "b")]
    assert offered.HasField("own_traces")
    assert not offered.HasField("own_metrics")
    assert offered.other_connections["kafka"].other_settings == {"a": "b"}
    assert decoded.agent_identification.new_instance_uid == b"n" * 16
    assert not opamp_pb2.ServerToAgent.FromString(encode_reply(replace(reply, restart=True))).HasField(
        "connection_settings"
    )


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ([{"connection_settings": {"own_logs": {}}}], "have none"),
        ([{"connection_settings": {"hash": b"a"}}, {"connection_settings": {"hash": b"b"}}], "hash is said twice"),
        ([{"connection_settings": {"hash": b"a"}}, {"connection_settings": {"hash": b""}}], "hash is said twice"),
        ([{"capabilities": 1}], "capabilities is said twice"),
        ([{"instance_uid": b"x" * 16}], "instance_uid is said twice"),
        ([{"telepathy": True}], "telepathy"),
    ],
)
def test_members_that_do_not_agree_are_not_encoded(said: list[dict[str, Any]], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        encode_reply(Reply(b"u" * 16, further=tuple(map(Said, said))))
