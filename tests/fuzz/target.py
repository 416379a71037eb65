"""What is fuzzed: everything between the bytes of a peer and the bytes of the answer that needs no database.

`exercise` takes any bytes. The only exception that may come out of the code under test is a `ProtocolError`; every other
one, and every report or reply that breaks a promise, is a finding.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from uuid import UUID

from agents.remote_config import ConfigFile, RemoteConfig
from agents.replies import Reply
from agents.reply_parts import CustomMessagePart, Known, Part, RestartPart
from agents.reports import CustomMessage, StatusReport
from configurations.desired_config import DesiredConfig
from opamp_transport.proto import opamp_pb2
from opamp_transport.protocol import encoding, framing, messages
from opamp_transport.protocol.conversation import answer, unsolicited
from opamp_transport.protocol.errors import ProtocolError
from opamp_transport.protocol.weight import check_parts, parts

INFLATED_LIMIT = 256 * 1024
_CONFIG = RemoteConfig({"": ConfigFile(b"a: 1\n", "text/yaml")})


class PromiseBroken(AssertionError):
    """The code under test returned something that it must not return."""


def promise(kept: bool, text: str) -> None:
    """Raises `PromiseBroken` unless ``kept``."""
    if not kept:
        raise PromiseBroken(text)


def exercise(data: bytes) -> str:
    """Take ``data`` for all that a peer may send; returns what it was, for the summary."""
    selector, payload = (data[0] if data else 0), data[1:]
    if selector % 4 == 0:
        return _guarded(lambda: _body(framing.unwrap(payload)))
    if selector % 4 == 1:
        return _guarded(lambda: _inflated(payload))
    if selector % 16 == 2:
        return _header(payload.decode("latin-1"))
    return _guarded(lambda: _body(payload))


def _guarded(path: Callable[[], str]) -> str:
    try:
        return path()
    except ProtocolError as error:
        promise(bool(str(error)), "an error without a text")
        return type(error).__name__


def _inflated(payload: bytes) -> str:
    content = framing.gunzip(payload, INFLATED_LIMIT)
    promise(len(content) <= INFLATED_LIMIT, "more was inflated than the limit")
    return _body(content)


def _header(value: str) -> str:
    promise(isinstance(framing.accepts_gzip(value), bool), "no verdict on Accept-Encoding")
    promise(isinstance(framing.is_protobuf_content_type(value), bool), "no verdict on Content-Type")
    return "header"


def _body(body: bytes) -> str:
    """Decode, and answer in every state that the server may be in."""
    check_parts(body)
    promise(parts(body, len(body)) <= len(body), "more parts than bytes")
    report = messages.decode_report(body)
    _storable(report)
    heartbeat = messages.decode_heartbeat(body)
    if heartbeat is not None:
        told = (report.instance_uid.bytes, report.sequence_num, report.capabilities)
        promise(heartbeat == told and not report.carries_news(), "a message with news was taken for a heartbeat")
    for known, wanted in _states(report):
        reply = answer(known, report, wanted)
        _speakable(reply, report)
        pushed = unsolicited(report.instance_uid, Known(None, known.capabilities), wanted)
        if pushed is not None:
            _speakable(pushed, report)
    return "answered"


def _states(report: StatusReport) -> list[tuple[Known, list[Part]]]:
    config = DesiredConfig(
        config=_CONFIG,
        config_hash=b"h" * 32,
        answered=report.remote_config_status is not None,
        offered=False,
        retry_due=True,
        forced=False,
    )
    message = CustomMessage(capability="c", type="t", data=b"d")
    return [
        (Known(None, report.capabilities), []),
        (
            Known(report.sequence_num - 1, report.capabilities, over_http=True, repeated=True),
            [config],
        ),
        (
            Known(7, 0xFFFF, full_state_outstanding=True, full_state_lost=True, components_asked=False),
            [*([RestartPart()] if report.sequence_num % 2 else []), config, CustomMessagePart(message)],
        ),
    ]


def _speakable(reply: Reply, report: StatusReport) -> None:
    """The encoded reply goes to this agent, and an error or a command travels alone (S-27, S-38, S-96)."""
    sent = opamp_pb2.ServerToAgent.FromString(encoding.encode_reply(reply))
    promise(UUID(bytes=sent.instance_uid) == report.instance_uid, "a reply to another agent")
    if sent.HasField("command"):
        fields = {field.name for field, _ in sent.ListFields()}
        promise(fields <= {"instance_uid", "capabilities", "command"}, f"a command beside {fields}")
    if sent.HasField("remote_config"):
        promise(bool(sent.remote_config.config_hash), "an offer without a hash")


def _storable(report: StatusReport) -> None:
    """Everything kept as JSON is JSON that the database takes: no NaN, no U+0000."""
    content = json.dumps(asdict(report), default=_bytes, allow_nan=False)
    promise("\\u0000" not in content.replace("\\\\", ""), "U+0000 in a text")


def _bytes(value: object) -> str:
    if isinstance(value, bytes | UUID):
        return str(value)
    raise PromiseBroken(f"{type(value).__name__} in a report")
