"""The agent's side of the protocol as a state machine: messages in, messages out. No sockets, no clock, no tasks.

Times come in as ``at``, Unix nanoseconds. A transport sends what it is given, in order, and asks `SimulatedAgent.tick`
again when `SimulatedAgent.due_at` has come. It speaks protobuf itself: `protocol.messages` is the server's side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from google.protobuf.message import DecodeError

from agents.reports import AgentCapabilities, RemoteConfigStatuses
from opamp_transport.proto import opamp_pb2
from simulator.collector import (
    Collector,
    ConfigRejected,
    Files,
    Running,
    available_components,
    health,
    run,
)

CAPABILITIES = int(
    AgentCapabilities.REPORTS_STATUS
    | AgentCapabilities.ACCEPTS_REMOTE_CONFIG
    | AgentCapabilities.REPORTS_EFFECTIVE_CONFIG
    | AgentCapabilities.ACCEPTS_OPAMP_CONNECTION_SETTINGS
    | AgentCapabilities.ACCEPTS_RESTART_COMMAND
    | AgentCapabilities.REPORTS_HEALTH
    | AgentCapabilities.REPORTS_REMOTE_CONFIG
    | AgentCapabilities.REPORTS_HEARTBEAT
    | AgentCapabilities.REPORTS_AVAILABLE_COMPONENTS
    | AgentCapabilities.REPORTS_CONNECTION_SETTINGS_STATUS
)
NANOSECONDS = 1_000_000_000
# The one thing beside OpAMP that simulated agents can do: asked for a snapshot, they say what they run.
SNAPSHOTS = "com.example.snapshot"
_SIMULATED_FAILURE = "simulated failure: the collector did not become healthy with this configuration"
_LONGEST_PROBLEM = 4096
_STATUSES = {
    RemoteConfigStatuses.UNSET: opamp_pb2.RemoteConfigStatuses_UNSET,
    RemoteConfigStatuses.APPLIED: opamp_pb2.RemoteConfigStatuses_APPLIED,
    RemoteConfigStatuses.APPLYING: opamp_pb2.RemoteConfigStatuses_APPLYING,
    RemoteConfigStatuses.FAILED: opamp_pb2.RemoteConfigStatuses_FAILED,
}


class UnusableReply(Exception):
    """The server sent what no agent can use; the text says what."""


@dataclass(frozen=True, slots=True)
class Reaction:
    """What a received message leads to.

    ``messages`` are ready to be sent. ``back_off_seconds``: leave, and come back no sooner than this; 0 means the
    server did not say when. ``restart``: after ``messages`` the connection ends; the next message is the agent's first.
    """

    messages: list[bytes] = field(default_factory=list)
    offered: bool = False
    restart: bool = False
    back_off_seconds: float | None = None
    error: str = ""


class SimulatedAgent:
    """One agent. ``heartbeat_seconds`` follows the server's offers; 0 means no heartbeats.

    ``headers`` are those of the last offer: as a supervisor does, the agent connects anew with them *instead* of what it
    was started with. ``None`` until something was offered.
    """

    __slots__ = (
        "_applying",
        "_collector",
        "_complete",
        "_config_hash",
        "_running",
        "_sequence_num",
        "_settings_error",
        "_settings_hash",
        "_started_at",
        "apply_seconds",
        "config_error",
        "config_status",
        "due_at",
        "fails",
        "headers",
        "heartbeat_seconds",
        "instance_uid",
        "received",
    )

    def __init__(
        self,
        collector: Collector,
        instance_uid: UUID,
        *,
        at: int,
        heartbeat_seconds: float = 30.0,
        apply_seconds: float = 0.0,
        fails: Callable[[bytes], bool] = lambda _config_hash: False,
    ) -> None:
        self._collector = collector
        self.instance_uid = instance_uid
        self.heartbeat_seconds = heartbeat_seconds
        self.apply_seconds = apply_seconds
        self.fails = fails
        self._running = run(())
        self._config_hash = b""
        # Every hash it was ever sent, the first time.
        self.received: set[bytes] = set()
        self._applying: Files = ()
        self.config_status = RemoteConfigStatuses.UNSET
        self.config_error = ""
        self._settings_hash = b""
        self._settings_error = ""
        self.headers: dict[str, str] | None = None
        self.due_at: int | None = None
        self._start(at)

    def _start(self, at: int) -> None:
        self._started_at = at
        self._sequence_num = -1
        # False until the server was told everything; then a reconnect leaves out what is unchanged (S-48).
        self._complete = False

    @property
    def running(self) -> Running:
        """What it runs now."""
        return self._running

    @property
    def config_hash(self) -> bytes:
        """The last configuration it was offered, by its hash; its answer is `config_status`."""
        return self._config_hash

    @property
    def sequence_num(self) -> int:
        """The number of its last message; -1 before the first."""
        return self._sequence_num

    # --- Messages --------------------------------------------------------------------------------------------------

    def first_message(self, at: int) -> bytes:
        """The message that opens a connection: everything the first time, then only who speaks."""
        if self._complete:
            return self._finished(self._message())
        return self._full(at, components=False)

    def heartbeat(self) -> bytes:
        """Nothing new."""
        return self._finished(self._message())

    def farewell(self) -> bytes:
        """The last message before the connection is closed."""
        message = self._message()
        message.agent_disconnect.SetInParent()
        return self._finished(message)

    def tick(self, at: int) -> list[bytes]:
        """What time has brought: the end of applying a configuration, when `due_at` has come."""
        if self.due_at is None or at < self.due_at:
            return []
        self.due_at = None
        message = self._message()
        self._apply(message, at)
        return [self._finished(message)]

    def receive(self, body: bytes, at: int) -> Reaction:
        """Obey one message of the server. Raises UnusableReply."""
        try:
            reply = opamp_pb2.ServerToAgent.FromString(body)
        except DecodeError as error:
            raise UnusableReply(f"bytes that do not decode: {error}") from error
        if reply.instance_uid and reply.instance_uid != self.instance_uid.bytes:
            raise UnusableReply(f"a message for {reply.instance_uid.hex()} reached {self.instance_uid.hex}")
        if reply.HasField("error_response"):
            return self._refused(reply.error_response)
        if reply.HasField("command"):
            # Alone by rule (S-96): whatever else is here is not looked at.
            farewell = self.farewell()
            self.due_at = None
            if self.config_status is RemoteConfigStatuses.APPLYING:
                self._config_hash, self.config_status = b"", RemoteConfigStatuses.UNSET
            self._start(at)
            return Reaction([farewell], restart=True)
        return self._obey(reply, at)

    # --- What the server says --------------------------------------------------------------------------------------

    def _refused(self, error: opamp_pb2.ServerErrorResponse) -> Reaction:
        # The message before was not processed, so what it told is still to be told.
        self._complete = False
        if error.type != opamp_pb2.ServerErrorResponseType_Unavailable:
            return Reaction(error=error.error_message or "the server gave no reason")
        seconds = error.retry_info.retry_after_nanoseconds / NANOSECONDS if error.HasField("retry_info") else 0.0
        return Reaction(error=error.error_message, back_off_seconds=seconds)

    def _obey(self, reply: opamp_pb2.ServerToAgent, at: int) -> Reaction:
        adopted = False
        if reply.HasField("agent_identification"):
            adopted = self._adopt(reply.agent_identification.new_instance_uid)
        message: opamp_pb2.AgentToServer | None = None
        if reply.HasField("connection_settings"):
            message = self._take_settings(message, reply.connection_settings)
        offered = reply.HasField("remote_config")
        if offered:
            message = message or self._message()
            self._take_config(message, reply.remote_config, at)
        if adopted or reply.flags & opamp_pb2.ServerToAgentFlags_ReportFullState:
            message = message or self._message()
            self._fill(message, at, components=True)
        elif reply.flags & opamp_pb2.ServerToAgentFlags_ReportAvailableComponents:
            message = message or self._message()
            message.available_components.CopyFrom(available_components(self._collector.version, full=True))
        if reply.custom_message.capability == SNAPSHOTS and reply.custom_message.type == "request":
            message = message or self._message()
            message.custom_message.capability, message.custom_message.type = SNAPSHOTS, "snapshot"
            message.custom_message.data = self._running.effective_config
        return Reaction([] if message is None else [self._finished(message)], offered=offered)

    def _adopt(self, new_uid: bytes) -> bool:
        """Take the uid that the server assigns; the sequence goes on under it (S-30)."""
        if len(new_uid) != 16 or not any(new_uid):
            raise UnusableReply(f"a new instance_uid of {len(new_uid)} bytes, or of zeros (S-29)")
        self.instance_uid = UUID(bytes=new_uid)
        return True

    def _take_settings(
        self, message: opamp_pb2.AgentToServer | None, offer: opamp_pb2.ConnectionSettingsOffers
    ) -> opamp_pb2.AgentToServer | None:
        """Take the interval and the headers; an offer that was answered before is not looked at again."""
        if offer.hash and offer.hash == self._settings_hash:
            return message
        if offer.HasField("opamp"):
            self.heartbeat_seconds = float(offer.opamp.heartbeat_interval_seconds)
            self.headers = {header.key: header.value for header in offer.opamp.headers.headers}
        moved = [member for member in ("certificate", "tls", "proxy") if offer.opamp.HasField(member)]
        self._settings_hash = offer.hash
        self._settings_error = f"a simulated agent cannot change: {', '.join(moved)}" if moved else ""
        if not offer.hash:
            return message
        message = message or self._message()
        self._tell_settings(message)
        return message

    def _take_config(self, message: opamp_pb2.AgentToServer, offer: opamp_pb2.AgentRemoteConfig, at: int) -> None:
        if not offer.config_hash:
            raise UnusableReply("a configuration was offered without a hash (S-59)")
        if offer.config_hash != self._config_hash:
            self._config_hash = offer.config_hash
            self.received.add(offer.config_hash)
            self._applying = tuple(sorted((key, file.body) for key, file in offer.config.config_map.items()))
            self.config_status, self.config_error = RemoteConfigStatuses.APPLYING, ""
            self.due_at = at + round(self.apply_seconds * NANOSECONDS)
            if self.apply_seconds <= 0:
                self.due_at = None
                self._apply(message, at)
                return
        self._tell_config_status(message)

    def _apply(self, message: opamp_pb2.AgentToServer, at: int) -> None:
        """Run what was offered, or say why not and go on with what ran before."""
        try:
            running = run(self._applying)
            problem = _SIMULATED_FAILURE if self.fails(self._config_hash) else ""
        except ConfigRejected as error:
            problem = str(error)[:_LONGEST_PROBLEM]
        if problem:
            self.config_status, self.config_error = RemoteConfigStatuses.FAILED, problem
        else:
            self._running = running
            self.config_status, self.config_error = RemoteConfigStatuses.APPLIED, ""
            self._tell_effective_config(message)
            message.health.CopyFrom(health(self._running, started_at=self._started_at, at=at))
        self._applying = ()
        self._tell_config_status(message)

    # --- What the agent tells --------------------------------------------------------------------------------------

    def _message(self) -> opamp_pb2.AgentToServer:
        return opamp_pb2.AgentToServer(instance_uid=self.instance_uid.bytes, capabilities=CAPABILITIES)

    def _finished(self, message: opamp_pb2.AgentToServer) -> bytes:
        """Numbered in the order of sending; the uid may have changed since the message was begun."""
        self._sequence_num += 1
        message.sequence_num = self._sequence_num
        message.instance_uid = self.instance_uid.bytes
        return message.SerializeToString()

    def _full(self, at: int, *, components: bool) -> bytes:
        message = self._message()
        self._fill(message, at, components=components)
        return self._finished(message)

    def _fill(self, message: opamp_pb2.AgentToServer, at: int, *, components: bool) -> None:
        """Everything the capabilities imply; of the components the hash alone unless they are asked for."""
        message.agent_description.CopyFrom(self._collector.description(self.instance_uid))
        message.health.CopyFrom(health(self._running, started_at=self._started_at, at=at))
        self._tell_effective_config(message)
        self._tell_config_status(message)
        self._tell_settings(message)
        message.available_components.CopyFrom(available_components(self._collector.version, full=components))
        message.custom_capabilities.capabilities.append(SNAPSHOTS)
        self._complete = True

    def _tell_effective_config(self, message: opamp_pb2.AgentToServer) -> None:
        file = message.effective_config.config_map.config_map[""]
        file.body, file.content_type = self._running.effective_config, "text/yaml"

    def _tell_config_status(self, message: opamp_pb2.AgentToServer) -> None:
        status = message.remote_config_status
        status.last_remote_config_hash = self._config_hash
        status.status = _STATUSES[self.config_status]
        status.error_message = self.config_error
        status.SetInParent()

    def _tell_settings(self, message: opamp_pb2.AgentToServer) -> None:
        if not self._settings_hash:
            return
        status = message.connection_settings_status
        status.last_connection_settings_hash = self._settings_hash
        status.status = (
            opamp_pb2.ConnectionSettingsStatuses_FAILED
            if self._settings_error
            else opamp_pb2.ConnectionSettingsStatuses_APPLIED
        )
        status.error_message = self._settings_error
