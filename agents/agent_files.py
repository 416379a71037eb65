"""All agents of a query as one file, for spreadsheets and programs: written slice by slice while it is sent.

So its length costs no memory.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, StreamingHttpResponse

from accounts import services as accounts
from accounts.models import User
from agents.agent_columns import AgentColumn, column_text, further_values
from agents.models import Agent, AgentQuerySet

CSV, JSONL = "csv", "jsonl"
CONTENT_TYPES = {CSV: "text/csv; charset=utf-8", JSONL: "application/jsonl; charset=utf-8"}
_VERB = "agent.export"
# Agents read at once.
SLICE = 1_000
# Excel reads a file without this mark in the code page of its machine, which garbles everything that is not ASCII.
BYTE_ORDER_MARK = "\ufeff"
# What a spreadsheet takes for the beginning of a formula; the full-width signs where people type Chinese or Japanese.
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r", "\n")


def agent_file_response(
    request: HttpRequest, agents: AgentQuerySet, columns: Sequence[AgentColumn], kind: str, *, by: User, query: str
) -> StreamingHttpResponse:
    """The file, with an entry in the audit trail. ``kind`` is `CSV` or `JSONL`; ``query`` is what chose ``agents``."""
    names = [column.name for column in columns]
    accounts.record(by=by, verb=_VERB, target=Agent(), name="", data={"query": query, "format": kind, "columns": names})
    pieces = export_pieces(agents, columns, kind)
    headers = {
        "Content-Disposition": f'attachment; filename="agents.{kind}"',
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    sent: Any = _in_threads(pieces) if isinstance(request, ASGIRequest) else pieces
    return StreamingHttpResponse(sent, content_type=CONTENT_TYPES[kind], headers=headers)


def export_pieces(agents: AgentQuerySet, columns: Sequence[AgentColumn], kind: str) -> Iterator[bytes]:
    """The file in pieces, in the order of the agents' keys: who comes or goes meanwhile moves nobody else."""
    if kind == CSV:
        yield file_beginning(columns, kind)
    for rows in _slices(agents):
        yield agent_rows(rows, columns, kind)


def file_beginning(columns: Sequence[AgentColumn], kind: str) -> bytes:
    """What stands before the first agent."""
    if kind != CSV:
        return b""
    return (BYTE_ORDER_MARK + _csv_line([guarded(column.name) for column in columns])).encode()


def agent_rows(agents: Sequence[Agent], columns: Sequence[AgentColumn], kind: str) -> bytes:
    """These agents, with what they were read with (`in_file_order`)."""
    write = _csv_rows if kind == CSV else _json_lines
    further = further_values([agent.pk for agent in agents], columns)
    values = [[column.value(agent, further.get(agent.pk, {})) for column in columns] for agent in agents]
    return write(values, columns).encode(errors="replace")


def in_file_order(agents: AgentQuerySet) -> AgentQuerySet:
    """In the order of the file, with all that columns read."""
    return agents.select_related(None).select_related("presence").order_by("pk")


def guarded(text: str) -> str:
    """A cell that no spreadsheet takes for a formula: a quote in front says that it is text."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _slices(agents: AgentQuerySet) -> Iterator[list[Agent]]:
    rows = in_file_order(agents)
    last = 0
    while found := list(rows.filter(pk__gt=last)[:SLICE]):
        yield found
        last = found[-1].pk


def _csv_rows(rows: list[list[Any]], _columns: Sequence[AgentColumn]) -> str:
    return "".join(_csv_line([_cell(value) for value in row]) for row in rows)


def _cell(value: Any) -> str:
    """Numbers may be negative; whatever is text is guarded."""
    text = column_text(value)
    return text if isinstance(value, int | float) else guarded(text)


def _csv_line(cells: list[str]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue()


def _json_lines(rows: list[list[Any]], columns: Sequence[AgentColumn]) -> str:
    names = [column.name for column in columns]
    return "".join(
        json.dumps(dict(zip(names, map(_json, row), strict=True)), ensure_ascii=False, separators=(",", ":")) + "\n"
        for row in rows
    )


def _json(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


async def _in_threads(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Each piece is made when the one before has gone out, in the thread of the request, which has its database connection."""
    following: Callable[[], Any] = sync_to_async(lambda: next(pieces, None))
    while (piece := await following()) is not None:
        yield piece
