"""Sends a JSON document to where somebody wrote down: to a checked address only, within bounds, without following anything.

The name is resolved once, every address it has is judged, and the connection goes to one of these: what the name says a moment
later does not matter. Proxies of the environment are not used, for they would do what is refused here.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import SplitResult, urlsplit

from alerts.alert_options import Network
from alerts.errors import CannotDeliver
from alerts.plain_texts import one_line
from alerts.public_addresses import is_allowed
from foundation.clock import clock
from foundation.messages import Message

SECONDS = 10.0
"""All of one attempt may take so long, but for what the resolver takes."""

_MOST_READ = 4_096
_MOST_QUOTED = 200
_MOST_ADDRESSES = 4
_LONGEST_RETRY_AFTER = 3_600.0
# Which it may accept another time.
_PASSING = frozenset({408, 425, 429})
LONGEST_URL = 2_000
_LONGEST_HOST = 253


@dataclass(frozen=True, slots=True)
class Accepted:
    """The receiver took it."""

    status: int


def checked_url(text: str) -> SplitResult:
    """The parts of an address that may be written down. Raises `CannotDeliver`; whom it names is judged where it is used."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        parts, port = SplitResult("", "", "", "", ""), None
    if not text.isascii():
        said = Message(
            "receiver-url-ascii",
            "An address has ASCII characters only: write others of its host as xn--…, others of its path as %…",
        )
        raise CannotDeliver(said, lasting=True)
    bad = any(not "!" <= character <= "~" for character in text) or len(text) > LONGEST_URL
    if (
        bad
        or not _is_host(parts.hostname or "")
        or parts.scheme not in ("http", "https")
        or parts.username is not None
        or port == 0
    ):
        raise CannotDeliver(
            Message(
                "receiver-url", "Write an address such as https://example.com/hook, without a name and password in it."
            ),
            lasting=True,
        )
    return parts


def _is_host(text: str) -> bool:
    """Whether it can be the name of one, or an address; whether there is such a host the resolver knows."""
    try:
        return bool(text) and len(text) <= _LONGEST_HOST and bool(text.encode("idna"))
    except UnicodeError:
        return False


def post_json(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    allowed: Sequence[Network],
    seconds: float = SECONDS,
) -> Accepted:
    """POST ``body``. Raises `CannotDeliver` for whatever is no 2xx answer within ``seconds``."""
    parts = checked_url(url)
    addresses = _checked_addresses(parts, allowed)
    until = time.monotonic() + seconds
    connection = _Connection(parts, addresses, until)
    # A receiver that answers a byte at a time satisfies every timeout of a socket.
    watch = threading.Timer(seconds, connection.cut)
    watch.daemon = True
    watch.start()
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", path, body, {**headers, "Content-Type": "application/json", "Connection": "close"})
        answer = connection.getresponse()
        with contextlib.closing(answer):
            # What else is said by who took it is nobody's business.
            said = b"" if 200 <= answer.status < 300 else answer.read(_MOST_READ)
        if time.monotonic() >= until:
            # What was cut within its head looks whole.
            raise TimeoutError
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _away(error, late=time.monotonic() >= until) from None
    finally:
        watch.cancel()
        connection.cut()
        connection.end()
    return _judged(answer, said)


class _Connection(http.client.HTTPConnection):
    """To the first of these that can be reached, whatever the name in the URL says by now; the certificate is held against that
    name. ``until`` is a time of `time.monotonic`.
    """

    def __init__(self, parts: SplitResult, addresses: Sequence[tuple[str, int]], until: float) -> None:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        super().__init__(str(parts.hostname), port, timeout=until - time.monotonic())
        self._addresses, self._until = addresses, until
        self._context = ssl.create_default_context() if parts.scheme == "https" else None
        self._wire: socket.socket | None = None
        if self._context is not None:
            self.default_port = 443

    def connect(self) -> None:
        """Raises OSError."""
        wire = self._wire = self._reached()
        wire.settimeout(self.timeout)
        if self._context is not None:
            wire = self._context.wrap_socket(wire, server_hostname=self.host, do_handshake_on_connect=False)
            self._wire = wire
            wire.do_handshake()
        self.sock = wire

    def _reached(self) -> socket.socket:
        """Each address but the last may take half of what time is left, so that one nobody is at leaves some for the next."""
        for address in self._addresses[:-1]:
            with contextlib.suppress(OSError):
                return socket.create_connection(address, max((self._until - time.monotonic()) / 2, 0.01))
        return socket.create_connection(self._addresses[-1], max(self._until - time.monotonic(), 0.01))

    def cut(self) -> None:
        """End it from whichever thread: who reads from it gets an end or an error."""
        if self._wire is not None:
            with contextlib.suppress(OSError):
                self._wire.shutdown(socket.SHUT_RDWR)

    def end(self) -> None:
        """Close it."""
        self.close()
        if self._wire is not None:
            self._wire.close()


def _checked_addresses(parts: SplitResult, allowed: Sequence[Network]) -> Sequence[tuple[str, int]]:
    """Where to connect, a few at most. Raises `CannotDeliver` if one of the addresses of the name must not be called."""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        said = Message("receiver-unknown-host", "The host cannot be resolved: {error}", error=_quoted(str(error)))
        raise CannotDeliver(said) from None
    addresses = [str(entry[4][0]) for entry in found]
    for text in addresses:
        if not is_allowed(ipaddress.ip_address(text.partition("%")[0]), allowed):
            said = Message(
                "receiver-address-refused",
                "The host has an address that is not public ({address}); ALERTS_ALLOWED_NETWORKS names those that may be called.",
                address=text,
            )
            raise CannotDeliver(said, lasting=True)
    return [(text, port) for text in [*dict.fromkeys(addresses)][:_MOST_ADDRESSES]]


def _judged(answer: http.client.HTTPResponse, said: bytes) -> Accepted:
    status = answer.status
    if 200 <= status < 300:
        return Accepted(status)
    if 300 <= status < 400:
        message = Message(
            "receiver-redirects", "It answered with a redirect ({status}), which is not followed.", status=status
        )
        raise CannotDeliver(message, status=status, lasting=True)
    message = Message(
        "receiver-refused",
        "It answered with status {status}: {text}",
        status=status,
        text=_quoted(said.decode("utf-8", "replace")),
    )
    lasting = status < 500 and status not in _PASSING
    raise CannotDeliver(message, status=status, lasting=lasting, retry_after=_retry_after(answer))


def _retry_after(answer: http.client.HTTPResponse) -> float:
    """Seconds, which may be written as a time as well; what is neither is nothing."""
    text = answer.getheader("Retry-After", "").strip()
    if text.isascii() and text.isdecimal():
        return min(float(text[:9]), _LONGEST_RETRY_AFTER)
    try:
        seconds = (parsedate_to_datetime(text) - clock.now()).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return min(max(seconds, 0.0), _LONGEST_RETRY_AFTER)


def _away(error: Exception, *, late: bool) -> CannotDeliver:
    if late or isinstance(error, TimeoutError):
        return CannotDeliver(Message("receiver-timeout", "It did not answer in time."))
    if isinstance(error, http.client.HTTPException):
        return CannotDeliver(Message("receiver-no-http", "It did not answer as an HTTP server."))
    said = str(getattr(error, "reason", "") or getattr(error, "strerror", "") or error)
    return CannotDeliver(Message("receiver-away", "It cannot be reached: {error}", error=_quoted(said)))


def _quoted(text: str) -> str:
    return one_line(text, _MOST_QUOTED)
