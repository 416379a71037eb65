"""`Reply` to protobuf bytes. With `messages`, which reads them, the only file that sees protobuf.

Pure: no transport (the WebSocket header comes later), no state, no decisions about what to say.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from google.protobuf.message import Message

from agents.remote_config import RemoteConfig
from agents.replies import ErrorResponse, ErrorType, Reply
from opamp_transport.proto import opamp_pb2

_ERROR_TYPES = {
    ErrorType.UNKNOWN: opamp_pb2.ServerErrorResponseType_Unknown,
    ErrorType.BAD_REQUEST: opamp_pb2.ServerErrorResponseType_BadRequest,
    ErrorType.UNAVAILABLE: opamp_pb2.ServerErrorResponseType_Unavailable,
}


def encode_reply(reply: Reply) -> bytes:
    """One ``ServerToAgent`` without header; maps are written in key order, so equal replies are equal bytes.

    An error travels with the uid alone (S-38), a restart with uid and capabilities alone (S-96). What else ``reply``
    holds is left out; to say it in a later reply is up to the caller.

    Raises ValueError: an offer no agent may get, that is a configuration without a hash (S-59), connection settings
    without one (S-78), what a member of the reply refuses itself (S-75, S-89), members that do not agree or name no field of the
    protocol; or a retry time that is negative or not finite.
    """
    message = opamp_pb2.ServerToAgent(instance_uid=reply.instance_uid)
    if reply.error is not None:
        _put_error(message.error_response, reply.error)
        return message.SerializeToString()
    message.capabilities = reply.capabilities
    if reply.restart:
        # Restart is the zero value: nothing but the presence of the sub-message says it (S-97).
        message.command.SetInParent()
        return message.SerializeToString()
    if reply.report_full_state:
        message.flags |= opamp_pb2.ServerToAgentFlags_ReportFullState
    if reply.report_available_components:
        message.flags |= opamp_pb2.ServerToAgentFlags_ReportAvailableComponents
    if reply.remote_config is not None:
        _put_remote_config(message.remote_config, reply.remote_config, reply.config_hash)
    if reply.new_instance_uid is not None:
        message.agent_identification.new_instance_uid = reply.new_instance_uid.bytes
    if reply.custom_capabilities is not None:
        message.custom_capabilities.SetInParent()
        message.custom_capabilities.capabilities.extend(reply.custom_capabilities)
    if reply.custom_message is not None:
        message.custom_message.capability = reply.custom_message.capability
        message.custom_message.type = reply.custom_message.type
        message.custom_message.data = reply.custom_message.data
    _put_members(message, reply)
    return message.SerializeToString(deterministic=True)


def _put_members(message: opamp_pb2.ServerToAgent, reply: Reply) -> None:
    """What describes itself, one beside the other; `agents.replies.ReplyMember` says what fields are."""
    for member in (reply.packages, reply.opamp_settings, *reply.further):
        if member is None:
            continue
        fields = member.fields()
        if differs := _disagreement(message, fields):
            raise ValueError(
                f"{differs} is said twice and differs: what goes into one message goes under one hash (S-78)"
            )
        message.MergeFrom(opamp_pb2.ServerToAgent(**fields))
    if message.HasField("connection_settings") and not message.connection_settings.hash:
        raise ValueError("all members of connection settings go under one hash, and these have none (S-78)")


def _disagreement(message: Message, fields: Mapping[str, Any]) -> str:
    """The name of a single value that is there already and is another one; empty for none."""
    present = {field.name: value for field, value in message.ListFields()}
    for name, value in fields.items():
        there = present.get(name)
        if isinstance(there, Message) and isinstance(value, Mapping):
            if found := _disagreement(there, value):
                return found
        elif isinstance(there, bytes | str | int | float) and there != value:
            return name
    return ""


def _put_error(message: opamp_pb2.ServerErrorResponse, error: ErrorResponse) -> None:
    message.type = _ERROR_TYPES[error.type]
    message.error_message = error.message
    if error.type is ErrorType.UNAVAILABLE and error.retry_after_seconds is not None:
        if not (math.isfinite(error.retry_after_seconds) and error.retry_after_seconds >= 0):
            raise ValueError(f"retry_after_seconds must be a finite time from 0 on, not {error.retry_after_seconds}")
        message.retry_info.retry_after_nanoseconds = round(error.retry_after_seconds * 1e9)


def _put_remote_config(message: opamp_pb2.AgentRemoteConfig, offered: RemoteConfig, config_hash: bytes) -> None:
    if not config_hash:
        raise ValueError("a remote configuration must be offered with its hash (S-59)")
    message.config_hash = config_hash
    # Present even when the map is empty: that means "run with none" (S-67).
    message.config.SetInParent()
    for key, file in offered.files.items():
        entry = message.config.config_map[key]
        entry.body = file.body
        entry.content_type = file.content_type
        entry.role = file.role
