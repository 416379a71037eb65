"""A large file uploaded, offered to agents and fetched by all of them in ranges at once: how fast, and what memory it takes."""

from __future__ import annotations

import argparse
import hashlib
import os
import threading
import time
import urllib.request
import uuid
from collections.abc import Iterator
from typing import Any, Self

from websockets.sync.client import connect

from agents.reports import AgentCapabilities
from benchmarks.figures import show
from benchmarks.servers import Costs, Portal, portal, process_tree, rss_bytes
from opamp_transport.proto import opamp_pb2

_MIB = 1024**2
_PIECE = 4 * _MIB
_RANGE = 64 * _MIB
# Whatever the size of the file.
MOST_GROWTH = 64 * _MIB


def measure(*, mebibytes: int = 300, agents: int = 20) -> dict[str, Any]:
    """MiB/s of the upload and of all downloads together, server CPU, and by how much its processes grew at most.

    Every agent is offered the file, fetches it from the address in its offer, and says that it is installed.
    """
    with portal() as server:
        package = server.api("POST", "packages", {"name": "bench", "match_all": True}).json["id"]
        assert server.api("POST", f"packages/{package}/versions", {"version": "1"}).status == 201
        server.get("packages")
        with _Watched(server) as watched, Costs(server) as costs:
            begun = time.monotonic()
            sha256 = _upload(server, package, mebibytes)
            uploaded = time.monotonic() - begun
            assert server.api("POST", f"packages/{package}/versions/1/release", {"release": "at_once"}).status == 200
            begun = time.monotonic()
            found: list[str] = []
            threads = [threading.Thread(target=lambda: found.append(_install(server))) for _agent in range(agents)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            fetched = time.monotonic() - begun
        assert found == [sha256] * agents, f"{len(found)} of {agents} have it all"
        server.eventually(lambda: _installed(server, package) == agents, what="all say that it is installed")
        assert watched.growth < MOST_GROWTH, f"grew by {watched.growth / _MIB:.0f} MiB"
        return {
            "MiB": mebibytes,
            "agents": agents,
            "upload MiB/s": round(mebibytes / uploaded, 1),
            "downloads MiB/s": round(mebibytes * agents / fetched, 1),
            "memory growth MiB": round(watched.growth / _MIB, 1),
            **costs.figures,
        }


def _installed(server: Portal, package: int) -> int:
    return int(server.get(f"packages/{package}/agents?status=installed")["count"])


class _Watched:
    """Looks every tenth of a second how large the server's processes are."""

    def __init__(self, server: Portal) -> None:
        self._server = server
        self._before, self._most = self._size(), 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    @property
    def growth(self) -> int:
        """Bytes, at the highest."""
        return max(self._most - self._before, 0)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.1):
            self._most = max(self._most, self._size())

    def _size(self) -> int:
        return sum(rss_bytes(pid) for pid in process_tree(self._server.pid))


class _Body:
    """So many random bytes, a piece at a time."""

    def __init__(self, mebibytes: int) -> None:
        self._piece, self._left = os.urandom(_MIB), mebibytes
        self.digest = hashlib.sha256()

    def __iter__(self) -> Iterator[bytes]:
        for _piece in range(self._left):
            self.digest.update(self._piece)
            yield self._piece


def _upload(server: Portal, package: int, mebibytes: int) -> str:
    body = _Body(mebibytes)
    request = _request(server, f"packages/{package}/versions/1/files?filename=bench.bin", method="PUT", data=body)
    request.add_header("Content-Type", "application/octet-stream")
    request.add_header("Content-Length", str(mebibytes * _MIB))
    with urllib.request.urlopen(request, timeout=600) as answer:
        assert answer.status == 201
    return body.digest.hexdigest()


def _install(server: Portal) -> str:
    """An agent over WebSocket from its first report to its word that the offer is installed; returns the digest of what it got."""
    uid = uuid.uuid4().bytes
    capabilities = int(
        AgentCapabilities.REPORTS_STATUS
        | AgentCapabilities.ACCEPTS_PACKAGES
        | AgentCapabilities.REPORTS_PACKAGE_STATUSES
    )
    with connect(server.websocket_endpoint, proxy=None, ping_interval=None) as socket:
        said = opamp_pb2.AgentToServer(instance_uid=uid, capabilities=capabilities)
        said.agent_description.identifying_attributes.add(key="service.name").value.string_value = "bench"
        said.package_statuses.SetInParent()
        socket.send(b"\0" + said.SerializeToString())
        reply = opamp_pb2.ServerToAgent()
        while not reply.HasField("packages_available"):
            reply = opamp_pb2.ServerToAgent.FromString(_bytes(socket.recv(timeout=60))[1:])
        offer = reply.packages_available
        package = offer.packages["bench"]
        sha256 = _download(package.file.download_url)
        said = opamp_pb2.AgentToServer(instance_uid=uid, sequence_num=1, capabilities=capabilities)
        said.package_statuses.server_provided_all_packages_hash = offer.all_packages_hash
        status = said.package_statuses.packages["bench"]
        status.name, status.status = "bench", opamp_pb2.PackageStatusEnum_Installed
        status.agent_has_version = status.server_offered_version = package.version
        status.agent_has_hash = status.server_offered_hash = package.hash
        socket.send(b"\0" + said.SerializeToString())
        socket.recv(timeout=60)
        return sha256 if bytes.fromhex(sha256) == package.file.content_hash else "other than offered"


def _bytes(frame: str | bytes) -> bytes:
    assert isinstance(frame, bytes)
    return frame


def _download(url: str) -> str:
    """In ranges, as an agent that goes on where it was cut off."""
    digest, start, size = hashlib.sha256(), 0, 1
    while start < size:
        request = urllib.request.Request(url, headers={"Range": f"bytes={start}-{start + _RANGE - 1}"})
        with urllib.request.urlopen(request, timeout=600) as answer:
            assert answer.status == 206
            size = int(answer.headers["Content-Range"].rpartition("/")[2])
            while data := answer.read(_PIECE):
                digest.update(data)
                start += len(data)
    return digest.hexdigest()


def _request(server: Portal, path: str, **more: Any) -> urllib.request.Request:
    headers = {"Authorization": f"Bearer {server.token}"}
    return urllib.request.Request(f"http://127.0.0.1:{server.port}/api/v1/{path}", headers=headers, **more)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mebibytes", type=int, default=300)
    parser.add_argument("--agents", type=int, default=20)
    show("package downloads", measure(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
