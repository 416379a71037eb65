"""The simulated agent as a state machine: each message of the server, and what the agent makes of it."""

from __future__ import annotations

import random
from typing import Any
from uuid import UUID

import pytest

from agents.reports import RemoteConfigStatuses
from opamp_transport.proto import opamp_pb2
from simulator.agent import CAPABILITIES, NANOSECONDS, SNAPSHOTS, SimulatedAgent, UnusableReply
from simulator.collector import varied_collector
from tests.simulator.server_messages import interval, offer, reply, said

UID = UUID("0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4051")
START = 1_700_000_000 * NANOSECONDS
GOOD = "exporters: {nop: {}}\nservice: {pipelines: {traces: {receivers: [otlp], exporters: [nop]}}}\n"
APPLIED, APPLYING, FAILED = (
    opamp_pb2.RemoteConfigStatuses_APPLIED,
    opamp_pb2.RemoteConfigStatuses_APPLYING,
    opamp_pb2.RemoteConfigStatuses_FAILED,
)
FULL_STATE = opamp_pb2.ServerToAgentFlags_ReportFullState
COMPONENTS = opamp_pb2.ServerToAgentFlags_ReportAvailableComponents


def agent(**options: Any) -> SimulatedAgent:
    """One agent that was just started."""
    collector = varied_collector(3, {"env": "prod"}, random.Random("agent"))
    return SimulatedAgent(collector, UID, at=START, **options)


class TestCustomMessages:
    def test_it_says_what_it_runs_when_it_is_asked_for_a_snapshot(self) -> None:
        one = agent()
        assert list(said(one.first_message(START)).custom_capabilities.capabilities) == [SNAPSHOTS]
        asked = opamp_pb2.CustomMessage(capability=SNAPSHOTS, type="request", data=b"{}")
        (answer,) = one.receive(reply(custom_message=asked), START).messages
        message = said(answer).custom_message
        assert (message.capability, message.type, message.data) == (SNAPSHOTS, "snapshot", one.running.effective_config)

    @pytest.mark.parametrize(("capability", "kind"), [(SNAPSHOTS, "stop"), ("com.example.other", "request")])
    def test_what_it_does_not_know_is_left_unanswered(self, capability: str, kind: str) -> None:
        one = agent()
        one.first_message(START)
        asked = opamp_pb2.CustomMessage(capability=capability, type=kind)
        assert one.receive(reply(custom_message=asked), START).messages == []


class TestMessages:
    def test_the_first_tells_everything_but_the_component_map(self) -> None:
        first = said(agent().first_message(START))
        assert first.instance_uid == UID.bytes
        assert (first.sequence_num, first.capabilities) == (0, CAPABILITIES)
        attributes = {item.key: item.value.string_value for item in first.agent_description.non_identifying_attributes}
        assert (attributes["env"], attributes["host.name"]) == ("prod", "sim-00003")
        assert first.health.healthy
        assert first.health.start_time_unix_nano == START
        assert b"debug" in first.effective_config.config_map.config_map[""].body
        assert first.HasField("remote_config_status")
        assert first.remote_config_status.status == opamp_pb2.RemoteConfigStatuses_UNSET
        assert first.available_components.hash
        assert not first.available_components.components

    def test_a_heartbeat_carries_no_part_and_the_next_number(self) -> None:
        one = agent()
        one.first_message(START)
        for number in (1, 2):
            beat = said(one.heartbeat())
            assert beat.sequence_num == number
            assert [field.name for field, _ in beat.ListFields()] == ["instance_uid", "sequence_num", "capabilities"]

    def test_a_reconnect_goes_on_without_repeating_itself(self) -> None:
        one = agent()
        one.first_message(START)
        again = said(one.first_message(START + NANOSECONDS))
        assert again.sequence_num == 1
        assert not again.HasField("agent_description")

    def test_the_farewell_says_so(self) -> None:
        one = agent()
        one.first_message(START)
        last = said(one.farewell())
        assert last.HasField("agent_disconnect")
        assert last.sequence_num == 1


class TestOffers:
    def test_it_is_applying_until_the_time_has_come_and_then_runs_it(self) -> None:
        one = agent(apply_seconds=2.0)
        one.first_message(START)
        reaction = one.receive(offer(main=GOOD, uid=UID.bytes), START)
        assert reaction.offered
        (answer,) = map(said, reaction.messages)
        assert (answer.remote_config_status.status, answer.remote_config_status.last_remote_config_hash) == (
            APPLYING,
            b"\x01",
        )
        assert one.due_at == START + 2 * NANOSECONDS
        assert one.tick(START + 2 * NANOSECONDS - 1) == []
        (done,) = map(said, one.tick(START + 2 * NANOSECONDS))
        assert done.sequence_num == 2
        assert done.remote_config_status.status == APPLIED
        assert b"nop" in done.effective_config.config_map.config_map[""].body
        assert "pipeline:traces" in done.health.component_health_map
        assert one.config_status is RemoteConfigStatuses.APPLIED
        assert one.due_at is None

    def test_without_a_delay_the_answer_is_the_outcome(self) -> None:
        one = agent()
        (answer,) = map(said, one.receive(offer(main=GOOD), START).messages)
        assert answer.remote_config_status.status == APPLIED

    def test_the_same_hash_again_is_answered_and_not_applied_again(self) -> None:
        one = agent()
        one.receive(offer(main=GOOD), START)
        before = one.running
        (answer,) = map(said, one.receive(offer(main="receivers: {filelog: {}}\n"), START).messages)
        assert answer.remote_config_status.status == APPLIED
        assert one.running is before

    def test_a_newer_offer_replaces_one_that_is_being_applied(self) -> None:
        one = agent(apply_seconds=2.0)
        one.receive(offer(main=GOOD), START)
        one.receive(offer(config_hash=b"\x02", main=GOOD.replace("nop", "otlphttp")), START + NANOSECONDS)
        assert one.tick(START + 2 * NANOSECONDS) == []
        (done,) = map(said, one.tick(START + 3 * NANOSECONDS))
        assert done.remote_config_status.last_remote_config_hash == b"\x02"
        assert b"otlphttp" in one.running.effective_config

    def test_what_no_collector_could_start_with_fails_and_the_old_one_goes_on(self) -> None:
        one = agent()
        before = one.running
        bad = "service: {pipelines: {traces: {receivers: [nowhere], exporters: [debug]}}}\n"
        (answer,) = map(said, one.receive(offer(main=bad), START).messages)
        assert answer.remote_config_status.status == FAILED
        assert "nowhere" in answer.remote_config_status.error_message
        assert not answer.HasField("effective_config")
        assert one.running is before

    def test_an_agent_that_shall_fail_fails(self) -> None:
        one = agent(fails=lambda config_hash: config_hash == b"\x01")
        (answer,) = map(said, one.receive(offer(main=GOOD), START).messages)
        assert answer.remote_config_status.status == FAILED
        assert "simulated failure" in answer.remote_config_status.error_message
        (answer,) = map(said, one.receive(offer(config_hash=b"\x02", main=GOOD), START).messages)
        assert (answer.remote_config_status.status, answer.remote_config_status.error_message) == (APPLIED, "")

    def test_an_empty_map_means_its_own_configuration_alone(self) -> None:
        one = agent()
        own = one.running.effective_config
        one.receive(offer(main=GOOD), START)
        assert one.running.effective_config != own
        one.receive(offer(config_hash=b"\x02"), START)
        assert one.running.effective_config == own
        assert one.config_status is RemoteConfigStatuses.APPLIED

    def test_an_offer_without_a_hash_is_of_no_use(self) -> None:
        with pytest.raises(UnusableReply, match="without a hash"):
            agent().receive(offer(config_hash=b"", main=GOOD), START)


class TestFlags:
    def test_report_full_state_brings_everything_with_the_map(self) -> None:
        one = agent()
        one.first_message(START)
        (full,) = map(said, one.receive(reply(flags=FULL_STATE), START).messages)
        assert full.sequence_num == 1
        assert full.HasField("agent_description")
        assert full.HasField("health")
        assert full.HasField("effective_config")
        assert set(full.available_components.components) >= {"receivers", "exporters"}

    def test_report_available_components_brings_the_map_alone(self) -> None:
        one = agent()
        first = said(one.first_message(START))
        (answer,) = map(said, one.receive(reply(flags=COMPONENTS), START).messages)
        assert answer.available_components.components
        assert answer.available_components.hash == first.available_components.hash
        assert not answer.HasField("agent_description")

    def test_nothing_to_do_is_answered_with_nothing(self) -> None:
        reaction = agent().receive(reply(UID.bytes), START)
        assert (reaction.messages, reaction.offered, reaction.restart, reaction.error) == ([], False, False, "")
        assert reaction.back_off_seconds is None


class TestRestart:
    def test_it_says_goodbye_and_begins_anew_with_what_it_had_applied(self) -> None:
        one = agent()
        one.first_message(START)
        one.receive(offer(main=GOOD), START)
        reaction = one.receive(reply(command=opamp_pb2.ServerToAgentCommand()), START + NANOSECONDS)
        assert reaction.restart
        assert said(reaction.messages[0]).HasField("agent_disconnect")
        first = said(one.first_message(START + 2 * NANOSECONDS))
        assert first.sequence_num == 0
        assert first.health.start_time_unix_nano == START + NANOSECONDS
        assert first.remote_config_status.status == APPLIED
        assert first.remote_config_status.last_remote_config_hash == b"\x01"

    def test_an_offer_being_applied_is_forgotten_so_that_it_comes_again(self) -> None:
        one = agent(apply_seconds=2.0)
        one.receive(offer(main=GOOD), START)
        one.receive(reply(command=opamp_pb2.ServerToAgentCommand()), START)
        assert one.due_at is None
        first = said(one.first_message(START))
        assert first.remote_config_status.last_remote_config_hash == b""
        assert one.receive(offer(main=GOOD), START).offered
        assert one.config_status is RemoteConfigStatuses.APPLYING

    def test_a_command_is_alone_and_what_else_is_there_is_not_looked_at(self) -> None:
        one = agent()
        both = opamp_pb2.ServerToAgent.FromString(offer(main=GOOD))
        both.command.SetInParent()
        reaction = one.receive(both.SerializeToString(), START)
        assert reaction.restart
        assert not reaction.offered
        assert one.config_status is RemoteConfigStatuses.UNSET


class TestIdentity:
    NEW = UUID("0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4052")

    def test_a_new_uid_is_used_at_once_and_everything_told_under_it(self) -> None:
        one = agent()
        one.first_message(START)
        identification = opamp_pb2.AgentIdentification(new_instance_uid=self.NEW.bytes)
        (answer,) = map(said, one.receive(reply(UID.bytes, agent_identification=identification), START).messages)
        assert answer.instance_uid == self.NEW.bytes
        assert answer.sequence_num == 1
        ids = {item.key: item.value.string_value for item in answer.agent_description.identifying_attributes}
        assert ids["service.instance.id"] == str(self.NEW)

    @pytest.mark.parametrize("uid", [b"", bytes(16), b"\x01" * 15])
    def test_a_uid_that_is_none_is_not_taken(self, uid: bytes) -> None:
        one = agent()
        identification = opamp_pb2.AgentIdentification(new_instance_uid=uid)
        with pytest.raises(UnusableReply, match="new instance_uid"):
            one.receive(reply(agent_identification=identification), START)
        assert one.instance_uid == UID

    def test_a_message_for_somebody_else_is_not_obeyed(self) -> None:
        with pytest.raises(UnusableReply, match=self.NEW.hex):
            agent().receive(reply(self.NEW.bytes), START)

    def test_bytes_that_are_no_message_are_named(self) -> None:
        with pytest.raises(UnusableReply, match="do not decode"):
            agent().receive(b"\xff\xff", START)


class TestConnectionSettings:
    def test_the_interval_is_taken_and_the_offer_answered_once(self) -> None:
        one = agent(heartbeat_seconds=30.0)
        (answer,) = map(said, one.receive(interval(5), START).messages)
        assert one.heartbeat_seconds == 5.0
        status = answer.connection_settings_status
        assert status.last_connection_settings_hash == b"\x07"
        assert status.status == opamp_pb2.ConnectionSettingsStatuses_APPLIED
        assert one.receive(interval(9), START).messages == []
        assert one.heartbeat_seconds == 5.0

    def test_what_it_cannot_change_is_refused_by_name(self) -> None:
        one = agent()
        certificate = opamp_pb2.TLSCertificate(cert=b"x")
        (answer,) = map(said, one.receive(interval(5, certificate=certificate), START).messages)
        assert answer.connection_settings_status.status == opamp_pb2.ConnectionSettingsStatuses_FAILED
        assert "certificate" in answer.connection_settings_status.error_message

    def test_the_full_state_repeats_the_answer(self) -> None:
        one = agent()
        one.receive(interval(5), START)
        (full,) = map(said, one.receive(reply(flags=FULL_STATE), START).messages)
        assert full.connection_settings_status.last_connection_settings_hash == b"\x07"


class TestErrors:
    def error(self, kind: int, **retry: int) -> bytes:
        """An error response."""
        response = opamp_pb2.ServerErrorResponse(type=kind, error_message="because")
        if retry:
            response.retry_info.retry_after_nanoseconds = retry["nanoseconds"]
        return reply(UID.bytes, error_response=response)

    def test_bad_request_is_no_reason_to_leave(self) -> None:
        reaction = agent().receive(self.error(opamp_pb2.ServerErrorResponseType_BadRequest), START)
        assert (reaction.error, reaction.back_off_seconds) == ("because", None)

    @pytest.mark.parametrize(("retry", "seconds"), [({"nanoseconds": 30 * NANOSECONDS}, 30.0), ({}, 0.0)])
    def test_unavailable_makes_it_leave_for_as_long_as_asked(self, retry: dict[str, int], seconds: float) -> None:
        reaction = agent().receive(self.error(opamp_pb2.ServerErrorResponseType_Unavailable, **retry), START)
        assert reaction.back_off_seconds == seconds

    def test_what_was_not_processed_is_told_again(self) -> None:
        one = agent()
        one.first_message(START)
        one.receive(self.error(opamp_pb2.ServerErrorResponseType_Unavailable), START)
        assert said(one.first_message(START)).HasField("agent_description")
