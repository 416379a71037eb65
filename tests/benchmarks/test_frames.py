"""What the driver writes is what a server reads, and the other way round."""

from __future__ import annotations

from uuid import uuid4

import pytest

from benchmarks import frames
from opamp_transport.proto import opamp_pb2
from opamp_transport.protocol.messages import decode_report


def test_joined_fields_are_one_message() -> None:
    uid = uuid4()
    report = decode_report(frames.head(uid) + frames.varint(300) + frames.CAPABILITIES_FIELD)
    assert (report.instance_uid, report.sequence_num, report.capabilities) == (uid, 300, frames.CAPABILITIES)
    assert not report.carries_news()


def test_a_goodbye_says_that_the_agent_disconnects() -> None:
    report = decode_report(frames.head(uuid4()) + frames.varint(1) + frames.GOODBYE)
    assert report.agent_disconnect
    assert report.capabilities == frames.CAPABILITIES


def test_the_full_report_tells_everything_its_capabilities_imply() -> None:
    uid = uuid4()
    report = decode_report(frames.head(uid) + frames.varint(0) + frames.full_report(1, uid))
    assert report.agent_description is not None
    assert report.health is not None
    assert report.health.healthy
    assert report.effective_config is not None
    assert report.remote_config_status is not None


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_frames_are_cut_where_they_end(size: int) -> None:
    payload = b"x" * size
    sent = frames.frame(payload)
    assert sent.endswith(b"\x00\x00\x00\x00" + payload)
    served = bytes([sent[0], sent[1] & 0x7F]) + sent[2 : len(sent) - size - 4] + payload
    assert list(frames.frames(served + served[:1])) == [(frames.BINARY, payload, len(served))]
    assert list(frames.frames(served[:-1])) == []


def test_an_offer_is_read_and_answered_with_its_own_files() -> None:
    reply = opamp_pb2.ServerToAgent(instance_uid=uuid4().bytes, flags=1, capabilities=7)
    reply.remote_config.config_hash = b"hash"
    reply.remote_config.config.config_map["a.yaml"].body = b"receivers: {}"
    said = frames.read_reply(reply.SerializeToString())
    assert said.offer is not None
    assert said.wants_full_state
    assert not said.is_error
    report = decode_report(frames.head(uuid4()) + frames.varint(1) + frames.applied(said.offer))
    assert report.effective_config is not None
    assert report.effective_config.files == {"a.yaml": {"body": "receivers: {}"}}
    assert report.remote_config_status is not None
    assert report.remote_config_status.last_remote_config_hash == b"hash"


def test_an_error_is_seen() -> None:
    reply = opamp_pb2.ServerToAgent(instance_uid=uuid4().bytes)
    reply.error_response.error_message = "no"
    assert frames.read_reply(reply.SerializeToString()).is_error
