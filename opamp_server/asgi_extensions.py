"""What this server adds to an ASGI scope beyond the specification. Names only, for applications to import."""

from __future__ import annotations

ANSWERS_AT_ONCE = "opamp_server.answers_at_once"
"""Of a WebSocket scope: ``scope["extensions"][ANSWERS_AT_ONCE](answer)``.

``answer`` takes the bytes of one message and returns the bytes to send, or ``None`` for a message that the application
must receive. The server asks it only while the application waits for the next message and nothing waits to be sent, so
order stays as it was; a server without the extension delivers every message.
"""
