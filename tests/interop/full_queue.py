"""A server that has as many reports waiting as it takes: ``LiveServer(folder, OPAMP_QUEUE_LIMIT="1")`` in `full_queue`."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from opamp_transport.proto import opamp_pb2
from tests.live_server import LiveServer
from tests.plain_http import post

# More than the database threads of a server and its queue of one can take together.
_REPORTS = 16


@contextmanager
def full_queue(server: LiveServer) -> Iterator[None]:
    """Inside, reports wait for the database and the server has as many of them as it takes."""

    def report() -> None:
        message = opamp_pb2.AgentToServer(instance_uid=uuid4().bytes, capabilities=1)
        answers.append(post(server.http_endpoint, message.SerializeToString()).status)

    answers: list[int] = []
    reports = [threading.Thread(target=report, daemon=True) for _ in range(_REPORTS)]
    with server.nothing_can_be_written("agents_agent"):
        for thread in reports:
            thread.start()
        server.eventually(lambda: 503 in answers, what="a refusal")
        yield
    for thread in reports:
        thread.join(30)
    assert set(answers) == {200, 503}
