"""One plain-HTTP exchange over a socket of its own, for tests that look at the answer as it is on the wire."""

from __future__ import annotations

import http.client
from typing import NamedTuple
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 30.0


class Answer(NamedTuple):
    """Status, headers by lower-case name, and the body as it came."""

    status: int
    headers: dict[str, str]
    body: bytes


def post(endpoint: str, body: bytes, *, method: str = "POST", **headers: str) -> Answer:
    """Send ``body`` as OpAMP over HTTP; ``headers`` (with ``_`` for ``-``) add to the content type or replace it."""
    parts = urlsplit(endpoint)
    fields = {"content-type": "application/x-protobuf"}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request(method, parts.path, body, fields)
        response = connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, found, response.read())
    finally:
        connection.close()
