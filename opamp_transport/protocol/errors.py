"""What can be wrong with a message, before any question of state. Pure; knows no transport and no status codes.

::

    ProtocolError
    ├── MalformedMessage   bad header, bad compression, does not decode, nested too deeply (S-06, S-100)
    ├── BadInstanceUid     decodes, but the uid is not 16 bytes (S-25)
    ├── TooManyAgents      one connection speaks for more agents than it may
    └── MessageTooLarge    above the limit, in either direction (S-09, S-11, S-18, S-19)

The text of each is for the operator of the agent, fit for ``ServerErrorResponse.error_message``. The consumers
choose the answer: BadRequest, 400, 413 or close code 1009 (S-10, S-101).
"""

from __future__ import annotations

# Agents with an old 26-character ULID (S-26) or a 36-character UUID text get their bytes back; a megabyte does not.
_LONGEST_ECHO = 64


class ProtocolError(Exception):
    """A message that this protocol cannot carry. ``str(error)`` is readable and holds no bytes of the message."""


class MalformedMessage(ProtocolError):
    """The bytes are no OpAMP message."""


class BadInstanceUid(ProtocolError):
    """The message decodes, but its ``instance_uid`` is not 16 bytes long (S-25).

    ``instance_uid`` is what the error reply repeats (S-27): the bytes as received, or ``b""`` when absurdly long.
    """

    def __init__(self, instance_uid: bytes) -> None:
        self.instance_uid = instance_uid if len(instance_uid) <= _LONGEST_ECHO else b""
        super().__init__(
            f"instance_uid must be exactly 16 bytes, such as a UUID v7 in binary form; got {len(instance_uid)} bytes."
        )


class TooManyAgents(ProtocolError):
    """One more agent on a connection that has all it may have. ``instance_uid`` is for the error reply (S-27)."""

    def __init__(self, instance_uid: bytes, *, limit: int) -> None:
        self.instance_uid = instance_uid
        super().__init__(
            f"This connection already speaks for {limit} agents. Open another one, or raise OPAMP_AGENTS_PER_CONNECTION "
            "on the server."
        )


class MessageTooLarge(ProtocolError):
    """A message above the size limit. ``limit`` and ``size`` are bytes; ``size`` is as far as was counted."""

    def __init__(self, *, limit: int, size: int) -> None:
        self.limit = limit
        self.size = size
        super().__init__(f"The message has at least {size} bytes; the limit is {limit} bytes.")
