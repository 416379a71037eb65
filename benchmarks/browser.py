"""A signed-in person with a browser, and the same person's API token: pages are visited, nothing is measured here."""

from __future__ import annotations

import http.cookiejar
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from email.message import Message
from typing import NamedTuple

from tests.live_server import ADMIN_PASSWORD, ADMIN_USERNAME, LiveServer

_PATIENCE_SECONDS = 60


class Page(NamedTuple):
    """What a visit brought; ``status`` is 403 where the portal asked to sign in instead.

    ``arrived`` is when its first byte was there, by `time.perf_counter`; ``url`` is where it led to.
    """

    status: int
    headers: Message
    body: bytes
    arrived: float
    url: str


class Browser:
    """Signed in as the first admin."""

    def __init__(self, server: LiveServer) -> None:
        self._server = server
        cookies = http.cookiejar.CookieJar()
        self._open = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(cookies)).open
        url = f"{server.url}/admin/login/"
        page = self._open(url, timeout=_PATIENCE_SECONDS).read().decode()
        found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
        assert found is not None
        form = {
            "username": ADMIN_USERNAME,
            "password": ADMIN_PASSWORD,
            "csrfmiddlewaretoken": found[1],
            "next": "/admin/",
        }
        data = urllib.parse.urlencode(form).encode()
        self._open(urllib.request.Request(url, data=data, headers={"Referer": url}), timeout=_PATIENCE_SECONDS).read()

    def visit(self, path: str, **headers: str) -> Page:
        """One GET of a page, or of the API with the token. Raises OSError when no answer comes."""
        request = urllib.request.Request(self._server.url + path, headers=headers)
        if path.startswith("/api/"):
            request.add_header("Authorization", f"Bearer {self._server.token}")
        try:
            with self._open(request, timeout=_PATIENCE_SECONDS) as response:
                arrived = time.perf_counter()
                status = 403 if "/login/" in response.url else response.status
                return Page(status, response.headers, response.read(), arrived, response.url)
        except urllib.error.HTTPError as error:
            with error:
                return Page(error.code, error.headers, error.read(), time.perf_counter(), error.url)
