"""Handing out files: whole or in part, in pieces, from wherever they lie; to agents by signed addresses, to people by right."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from http import HTTPStatus
from typing import Any

from django.core.handlers.asgi import ASGIRequest
from django.core.signing import BadSignature
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from django.utils.http import content_disposition_header
from django.views.decorators.csrf import csrf_exempt

from packages import download_urls
from packages.errors import NoSuchFile, StoreAway
from packages.models import Artefact
from packages.services import store

_CHUNK = 256 * 1024
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII | re.IGNORECASE)
_RETRY_AFTER_SECONDS = 30


@csrf_exempt
def download(request: HttpRequest, token: str, filename: str) -> HttpResponseBase:
    """The file that a signed address names; the name at its end is for people. 403 for an expired or a forged one."""
    if request.method not in ("GET", "HEAD"):
        return _said(HTTPStatus.METHOD_NOT_ALLOWED, "Files are read with GET.", Allow="GET, HEAD")
    try:
        key = download_urls.artefact_id(token)
    except BadSignature:
        return _said(HTTPStatus.FORBIDDEN, "This address is not ours, or its time is over: wait for the next offer.")
    artefact = Artefact.objects.filter(pk=key).exclude(key="").first()
    if artefact is None:
        return _said(HTTPStatus.NOT_FOUND, "The file is not there any more.")
    try:
        return served(request, artefact)
    except NoSuchFile as error:
        return _said(HTTPStatus.NOT_FOUND, str(error))
    except StoreAway as error:
        return _said(HTTPStatus.SERVICE_UNAVAILABLE, str(error), **{"Retry-After": str(_RETRY_AFTER_SECONDS)})


def served(request: HttpRequest, artefact: Artefact) -> HttpResponseBase:
    """The stored file, or the one range of it that is asked for (RFC 9110): preconditions first, ranges of GET alone.

    Raises `NoSuchFile`, `StoreAway`.
    """
    size, etag = artefact.size or 0, f'"{artefact.sha256}"'
    headers = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Cache-Control": "private",
        "X-Content-Type-Options": "nosniff",
        "Content-Disposition": content_disposition_header(True, artefact.filename) or "attachment",
    }
    unconditional = HttpResponse(headers=headers)
    conditional = get_conditional_response(request, etag=etag, response=unconditional)
    if conditional is not None and conditional is not unconditional:
        return conditional
    wanted = _wanted(request, size, etag)
    if wanted is None:
        return HttpResponse(
            status=HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
            headers={**headers, "Content-Range": f"bytes */{size}"},
            content_type="text/plain",
        )
    start, length, partial = wanted
    headers["Content-Length"] = str(length)
    if partial:
        headers["Content-Range"] = f"bytes {start}-{start + length - 1}/{size}"
    status = HTTPStatus.PARTIAL_CONTENT if partial else HTTPStatus.OK
    if request.method == "HEAD":
        return HttpResponse(status=status, content_type="application/octet-stream", headers=headers)
    reader = store.open_part(artefact.key, start, length)
    pieces: Any = _AsyncPieces(reader, length) if isinstance(request, ASGIRequest) else _Pieces(reader, length)
    return StreamingHttpResponse(pieces, status=status, content_type="application/octet-stream", headers=headers)


def _wanted(request: HttpRequest, size: int, etag: str) -> tuple[int, int, bool] | None:
    """Start, length and whether that is a part; ``None`` for a part that there is none of.

    What cannot be read, several ranges, and a range of another file than this (``If-Range``) mean the whole.
    """
    whole = (0, size, False)
    found = _RANGE.fullmatch(request.headers.get("Range", "").strip())
    if found is None or request.method != "GET" or request.headers.get("If-Range", etag).strip() != etag:
        return whole
    first, last = found.groups()
    if not first and not last:
        return whole
    if not first:
        length = min(int(last), size)
        return (size - length, length, True) if length else None
    start, end = int(first), min(int(last), size - 1) if last else size - 1
    if last and int(last) < start:
        return whole
    return (start, end - start + 1, True) if start < size else None


class _Source:
    """A part of a file as pieces of bounded size; ended by Django, however the answer ends."""

    def __init__(self, reader: store.Reader, length: int) -> None:
        self._reader, self._left = reader, length

    def _next(self) -> bytes:
        data = self._reader.read(min(_CHUNK, self._left))
        if len(data) == 0:
            # The answer has a length: cut off, it is seen to be incomplete.
            raise ConnectionError("the store ended before the file did")
        self._left -= len(data)
        return data

    def close(self) -> None:
        """Give the file or the connection back."""
        self._reader.close()


class _Pieces(_Source):
    """For a server without an event loop, and for tests."""

    def __iter__(self) -> Iterator[bytes]:
        while self._left:
            yield self._next()


class _AsyncPieces(_Source):
    """Read in threads, a piece when the one before has gone out: the loop serves agents meanwhile."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while self._left:
            yield await asyncio.to_thread(self._next)


def _said(status: HTTPStatus, text: str, **headers: str) -> HttpResponse:
    return HttpResponse(text, status=status, content_type="text/plain; charset=utf-8", headers=headers)
