"""What pages leave behind is freed although a fleet at rest makes little."""

from __future__ import annotations

import gc
import weakref

import pytest
from asgiref.sync import sync_to_async

from opamp_transport import runtime
from tests.fake_agent import eventually, run
from tests.opamp_transport.test_runtime import beating

pytestmark = pytest.mark.django_db(transaction=True)


class Leftover:
    """Refers to itself, as what a page leaves does."""

    def __init__(self) -> None:
        self.itself = self


def test_what_nobody_can_reach_any_more_is_freed_although_little_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "GARBAGE_SECONDS", 0.05)

    async def body() -> None:
        await beating()
        gc.disable()
        try:
            leftover = weakref.ref(Leftover())
            await eventually(sync_to_async(lambda: leftover() is None))
        finally:
            gc.enable()

    run(body())
