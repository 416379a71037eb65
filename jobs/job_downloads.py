"""Handing out the file of a job: to whom the job belongs, and administrators, while they may see what is in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, StreamingHttpResponse
from django.utils.http import content_disposition_header

from accounts import services as accounts
from accounts.models import User
from jobs.models import Job
from jobs.services.job_files import file_of, file_pieces
from jobs.services.starting import known_kind, must_be_allowed


def job_file_response(request: HttpRequest, job: Job, *, by: User) -> StreamingHttpResponse:
    """The file, in pieces; it leaves an entry in the audit trail. ``job`` is one that ``by`` may see.

    Raises `NotAllowed` for who may not see what is in it, and what `file_of` raises.
    """
    file, parts = file_of(job)
    must_be_allowed(known_kind(job.kind), by)
    accounts.record(by=by, verb="job.download", target=job, name=str(job.title_message), data={"size": file.size})
    pieces = file_pieces(parts)
    sent: Any = _in_threads(pieces) if isinstance(request, ASGIRequest) else pieces
    headers = {
        "Content-Disposition": content_disposition_header(True, file.filename) or "attachment",
        "Content-Length": str(file.size),
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    return StreamingHttpResponse(sent, content_type=file.content_type, headers=headers)


async def _in_threads(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """A piece is read when the one before has gone out; the loop serves agents meanwhile."""
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        yield piece
