"""Open pages while a fleet changes: what they cost the server beside what the changes cost anyway, and how fresh they are.

Phases of one run: agents whose health turns with nobody looking; the same with pages that listen and read nothing; the same with
pages that read themselves again as ``static/portal/live.js`` does, at the pace that the portal asks for; and nobody again, for
changes cost more while timelines fill. What counts is the difference to the mean of the first and the last. Sixty pages of a
hundred are lists of 50 agents each, twenty an agent's, twenty the overview.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import time
from dataclasses import dataclass, field
from html import unescape
from typing import Any

import websockets

from benchmarks.browser import Browser
from benchmarks.figures import show, spread
from benchmarks.fleet import Fleet
from benchmarks.servers import Costs, Portal, portal

_ROW = re.compile(r'data-topic="(agent:[^"]+)"')
_ROWS_ADDRESS = re.compile(r'data-rows="([^"]+)"')
_UNTIL_QUIET = 3.0


@dataclass
class Tally:
    """What the pages of one phase got."""

    hints: int = 0
    hint_bytes: int = 0
    reads: int = 0
    whole: int = 0
    """Of these, reads of a whole page, and not of rows alone."""
    read_bytes: int = 0
    failed: int = 0
    pace: float = 0.0
    waits: list[float] = field(default_factory=list)
    """Seconds from the first hint after a read to the end of the next read."""


class Page:
    """One open page, at `path`, that listens to ``topics`` and to its rows."""

    def __init__(self, browser: Browser, path: str, topics: list[str]) -> None:
        self.browser = browser
        self.path = path
        self.topics = topics
        self.rows: list[str] = []
        self.rows_address = ""
        self.stale: set[str] = set()
        self.whole_at = 0.0

    async def open(self) -> None:
        """As the person opens it."""
        await self.read()

    async def read(self) -> int:
        """Read it again; the bytes that came."""
        page = await asyncio.to_thread(self.browser.visit, self.path, **{"X-Portal-Refresh": "live"})
        if page.status != 200:
            raise OSError(f"{page.status} for {self.path}")
        text = page.body.decode()
        self.rows = list(dict.fromkeys(_ROW.findall(text)))
        found = _ROWS_ADDRESS.search(text)
        self.rows_address = unescape(found[1]) if found else ""
        self.stale.clear()
        self.whole_at = time.monotonic()
        return len(page.body)

    async def read_rows(self) -> int:
        """Read again the rows that have changed; the bytes that came."""
        wanted = sorted(self.stale)[:100]
        self.stale.clear()
        address = self.rows_address + "".join(f"&row={topic.partition(':')[2]}" for topic in wanted)
        page = await asyncio.to_thread(self.browser.visit, address, **{"X-Portal-Refresh": "live"})
        if page.status != 200:
            raise OSError(f"{page.status} for {address}")
        return len(page.body)

    async def listen(self, server: Portal, tally: Tally, over: asyncio.Event, *, reads: bool) -> None:
        """One socket for the phase."""
        headers = {"Authorization": f"Bearer {server.token}"}
        address = f"ws://127.0.0.1:{server.port}/ws/notifications"
        async with websockets.connect(address, additional_headers=headers, compression=None, open_timeout=60) as socket:
            await socket.send(json.dumps({"subscribe": [*self.topics, *self.rows]}))
            reading: asyncio.Task[None] | None = None
            # They were opened at different times.
            read_at = time.monotonic() - random.random() * 60
            while not over.is_set():
                try:
                    text = await asyncio.wait_for(socket.recv(), 0.5)
                except TimeoutError:
                    continue
                said = json.loads(text)
                tally.pace = said["pace"]
                if "changes" not in said:
                    continue
                tally.hints += 1
                tally.hint_bytes += len(text)
                if self.rows_address:
                    self.stale |= {item["topic"] for item in said["changes"]} & set(self.rows)
                if reads and (reading is None or reading.done()):
                    near = not self.rows or any(item["topic"] in self.rows for item in said["changes"])
                    pause = max(1.0 if near else 5.0, tally.pace)
                    jitter = random.random() * tally.pace if tally.pace > 1 else 0.0
                    wait = max(read_at + pause - time.monotonic(), jitter)
                    reading = asyncio.create_task(self.read_after(wait, tally))
                    read_at = time.monotonic() + wait
            if reading is not None:
                reading.cancel()

    async def read_after(self, seconds: float, tally: Tally) -> None:
        """What `live.js` schedules."""
        begun = time.monotonic()
        await asyncio.sleep(seconds)
        try:
            whole = not self.stale or time.monotonic() - self.whole_at >= max(5.0, 5 * tally.pace)
            tally.read_bytes += await (self.read() if whole else self.read_rows())
            tally.whole += whole
        except OSError:
            tally.failed += 1
        tally.reads += 1
        tally.waits.append(time.monotonic() - begun)


def opened(server: Portal, browser: Browser, pages: int, agents: int) -> list[Page]:
    """So many pages, of three kinds."""
    uids = [row["instance_uid"] for row in server.get("agents?page_size=100")["results"]]
    keys = _keys_of(browser)
    found = []
    for number in range(pages):
        kind = number % 10
        if kind < 6:
            found.append(Page(browser, f"/admin/agents/agent/?p={number % max(agents // 50, 1) + 1}", ["agents"]))
        elif kind < 8:
            key, uid = keys[number % len(keys)], uids[number % len(uids)]
            found.append(Page(browser, f"/admin/agents/agent/{key}/change/", [f"agent:{uid}"]))
        else:
            found.append(Page(browser, "/admin/", ["overview"]))
    return found


def _keys_of(browser: Browser) -> list[str]:
    return re.findall(r"/admin/agents/agent/(\d+)/change/", browser.visit("/admin/agents/agent/").body.decode())


async def phase(
    server: Portal, pages: list[Page], fleet: Fleet, *, interval: float, seconds: float, reads: bool
) -> tuple[Tally, dict[str, Any], dict[str, Any]]:
    """Agents change for ``seconds`` while ``pages`` listen; what they got, what it cost, what agents noticed."""
    tally, over = Tally(), asyncio.Event()
    tasks = [asyncio.create_task(page.listen(server, tally, over, reads=reads)) for page in pages]
    await asyncio.sleep(_UNTIL_QUIET)
    with Costs(server) as costs:
        figures = await asyncio.to_thread(fleet.call, "beat", interval=interval, seconds=seconds, what="health")
    over.set()
    await asyncio.gather(*tasks)
    return tally, costs.figures, figures


def measure(*, agents: int = 10_000, pages: int = 200, interval: float = 30, seconds: float = 40) -> dict[str, Any]:
    """Shares of a core, and how often and how late pages were read again."""
    # All pages are the first admin's.
    with portal(1, LIVE_SOCKETS_PER_PERSON=str(pages)) as server, Fleet(server.port, agents) as fleet:
        fleet.call("connect", until="registered", within=300, per_second=500)
        browser = Browser(server)
        all_pages = opened(server, browser, pages, agents)

        async def run() -> list[tuple[Tally, dict[str, Any], dict[str, Any]]]:
            for page in all_pages:
                await page.open()
            often = {"interval": interval, "seconds": seconds}
            return [
                await phase(server, [], fleet, **often, reads=False),
                await phase(server, all_pages, fleet, **often, reads=False),
                # Long enough for pages that read seldom.
                await phase(server, all_pages, fleet, interval=interval, seconds=seconds * 3, reads=True),
                await phase(server, [], fleet, **often, reads=False),
            ]

        phases = asyncio.run(run())
    alone, hinted, reading, _after = phases
    share = [round(costs["server CPU s"] / costs["of seconds"], 3) for _tally, costs, _figures in phases]
    nobody = (share[0] + share[3]) / 2
    tally = reading[0]
    return {
        "agents": agents,
        "pages": pages,
        "changes/s": round(reading[2]["replies"] / seconds / 3),
        "share of a core, nobody looks, before and after": [share[0], share[3]],
        "share of a core, pages listen": share[1],
        "share of a core, pages listen and read": share[2],
        "hints alone: share of a core": round(share[1] - nobody, 3),
        "pages in all: share of a core": round(share[2] - nobody, 3),
        "hints per page and s": round(hinted[0].hints / pages / seconds, 2),
        "bytes per hint": round(hinted[0].hint_bytes / max(hinted[0].hints, 1)),
        "reads/s": round(tally.reads / seconds / 3, 2),
        "of them whole pages": tally.whole,
        "KiB per read": round(tally.read_bytes / max(tally.reads, 1) / 1024, 1),
        "pace s": tally.pace,
        "from a change to the page s": spread(tally.waits),
        "reads that failed": tally.failed,
        "agents' latency ms, nobody looks": alone[2]["latency ms"],
        "agents' latency ms, pages listen and read": reading[2]["latency ms"],
        "wrong (5xx, errors, losses)": reading[2]["wrong"],
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=10_000)
    parser.add_argument("--pages", type=int, default=200)
    parser.add_argument("--interval", type=float, default=30, help="seconds between two changes of one agent")
    parser.add_argument(
        "--seconds", type=float, default=40, help="of a phase; of that with reading pages three times as many"
    )
    show("live pages", measure(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
