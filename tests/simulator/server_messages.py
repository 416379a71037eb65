"""What a server says to a simulated agent, as bytes; and what the agent says, decoded."""

from __future__ import annotations

from typing import Any

from opamp_transport.proto import opamp_pb2


def said(body: bytes) -> opamp_pb2.AgentToServer:
    """A message of the agent."""
    return opamp_pb2.AgentToServer.FromString(body)


def reply(uid: bytes = b"", **parts: Any) -> bytes:
    """A message of the server."""
    return opamp_pb2.ServerToAgent(instance_uid=uid, **parts).SerializeToString()


def offer(*, config_hash: bytes = b"\x01", uid: bytes = b"", **files: str) -> bytes:
    """An offer of these files; the key ``main`` stands for the empty config key."""
    remote_config = opamp_pb2.AgentRemoteConfig(config_hash=config_hash)
    remote_config.config.SetInParent()
    for key, body in files.items():
        remote_config.config.config_map["" if key == "main" else key].body = body.encode()
    return reply(uid, remote_config=remote_config)


def interval(seconds: int, *, settings_hash: bytes = b"\x07", **members: Any) -> bytes:
    """An offer of a heartbeat interval, with further ``opamp`` members if any."""
    settings = opamp_pb2.OpAMPConnectionSettings(
        destination_endpoint="ws://127.0.0.1/v1/opamp", heartbeat_interval_seconds=seconds, **members
    )
    return reply(connection_settings=opamp_pb2.ConnectionSettingsOffers(hash=settings_hash, opamp=settings))
