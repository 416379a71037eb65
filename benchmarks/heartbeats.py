"""Heartbeats per second of the OpAMP door against a bare ASGI echo of the same messages on the same server.

Run from the project's root:  .venv/bin/python -m benchmarks.heartbeats [--agents 50] [--seconds 8]

Both servers are uvicorn processes of the same configuration; one driver process talks to one after the other, each agent
waiting for its answer before it sends the next heartbeat. The driver is a Python program on the same machine and may be
the bottleneck, so beside the rate stands the server's CPU time per heartbeat; ratios within one run are what counts.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Self

import websockets

from agents.instance_uids import new_instance_uid
from opamp_transport.proto import opamp_pb2

ROOT = Path(__file__).resolve().parent.parent


async def echo(scope, receive, send):
    """The least an ASGI application can do: every message back as it came."""
    if scope["type"] == "lifespan":
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": message["type"] + ".complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["type"] != "websocket":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "bytes": event["bytes"]})


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """One server process, waited for, ended by its pid."""

    def __init__(self, command: list[str], port: int, data: str) -> None:
        environment = {**os.environ, "DATA_DIR": data, "LOG_LEVEL": "WARNING"}
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
        self.port = port

    def __enter__(self) -> Self:
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health/live", timeout=1).read()
            except OSError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise
                time.sleep(0.2)
            else:
                return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(30)

    def cpu_seconds(self) -> float:
        """User and system time of the server process so far (Linux)."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measure(port: int, agents: int, seconds: float) -> float:
    """Answered heartbeats per second over all agents, after each has described itself."""
    counts = [0] * agents
    stop_at = 0.0

    async def one(number: int) -> None:
        uid = new_instance_uid().bytes
        async with websockets.connect(
            f"ws://127.0.0.1:{port}/v1/opamp", compression=None, ping_interval=None
        ) as socket_:
            description = opamp_pb2.AgentDescription()
            description.identifying_attributes.add(key="service.name").value.string_value = "bench"
            first = opamp_pb2.AgentToServer(instance_uid=uid, capabilities=0x2001, agent_description=description)
            await socket_.send(b"\x00" + first.SerializeToString())
            await socket_.recv()
            ready.release()
            await go.wait()
            sequence_num = 0
            while time.monotonic() < stop_at:
                sequence_num += 1
                beat = opamp_pb2.AgentToServer(instance_uid=uid, sequence_num=sequence_num, capabilities=0x2001)
                await socket_.send(b"\x00" + beat.SerializeToString())
                await socket_.recv()
                counts[number] += 1

    ready, go = asyncio.Semaphore(0), asyncio.Event()
    tasks = [asyncio.create_task(one(number)) for number in range(agents)]
    for _ in range(agents):
        await asyncio.wait_for(ready.acquire(), 60)
    begun = time.monotonic()
    stop_at = begun + seconds
    go.set()
    await asyncio.gather(*tasks)
    return sum(counts) / (time.monotonic() - begun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=8)
    options = parser.parse_args()
    results: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as data:
        for name in ("echo", "opamp", "echo again", "opamp again"):
            port = free_port()
            if name.startswith("echo"):
                command = [sys.executable, "-m", "uvicorn", "benchmarks.heartbeats:echo", "--port", str(port)]
                command += ["--loop", "uvloop", "--http", "httptools", "--ws", "websockets-sansio", "--no-access-log"]
                command += ["--ws-per-message-deflate", "false", "--log-level", "warning"]
            else:
                command = [sys.executable, "manage.py", "serve", "--port", str(port)]
            with Server(command, port, data) as server:
                before = server.cpu_seconds()
                rate = asyncio.run(measure(port, options.agents, options.seconds))
                spent = server.cpu_seconds() - before
            results[f"{name}: heartbeats/s"] = round(rate)
            results[f"{name}: server CPU µs per heartbeat"] = round(spent / (rate * options.seconds) * 1e6, 1)
    for what in ("heartbeats/s", "server CPU µs per heartbeat"):
        ours, theirs = (results[f"{name}: {what}"] + results[f"{name} again: {what}"] for name in ("opamp", "echo"))
        results[f"ratio: {what}"] = round(ours / theirs, 2)
    print(json.dumps(results, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
