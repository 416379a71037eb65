"""The consumers for agents: bytes in, bytes out. No ORM and no protobuf here.

All override the consumer's ``__call__`` with their own loop: Channels' dispatch makes tasks and visits the shared
thread before every message. Those of OpAMP bring reports to the same report queue.
"""

from __future__ import annotations

from opamp_transport.consumers.http import HttpConsumer
from opamp_transport.consumers.own_telemetry import OwnTelemetryConsumer
from opamp_transport.consumers.websocket import WebSocketConsumer

__all__ = ["HttpConsumer", "OwnTelemetryConsumer", "WebSocketConsumer"]
