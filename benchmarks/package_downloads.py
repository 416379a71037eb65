"""A large file uploaded over REST and fetched by many agents in ranges at once: how fast, and how much memory that takes."""

from __future__ import annotations

import argparse
import hashlib
import os
import threading
import time
import urllib.request
from collections.abc import Iterator
from typing import Any, Self

from benchmarks.figures import show
from benchmarks.servers import Costs, Portal, portal, process_tree, rss_bytes

_MIB = 1024**2
_PIECE = 4 * _MIB
# Whatever the size of the file.
MOST_GROWTH = 64 * _MIB


def measure(*, mebibytes: int = 300, clients: int = 20) -> dict[str, Any]:
    """MiB/s of the upload and of all downloads together, server CPU, and by how much its processes grew at most."""
    with portal() as server:
        package = server.api("POST", "packages", {"name": "bench", "match_all": True}).json["id"]
        assert server.api("POST", f"packages/{package}/versions", {"version": "1"}).status == 201
        server.get("packages")
        with _Watched(server) as watched, Costs(server) as costs:
            begun = time.monotonic()
            sha256 = _upload(server, package, mebibytes)
            uploaded = time.monotonic() - begun
            begun = time.monotonic()
            found: list[str] = []
            threads = [
                threading.Thread(target=lambda: found.append(_download(server, package, mebibytes)))
                for _client in range(clients)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            fetched = time.monotonic() - begun
        assert found == [sha256] * clients, f"{len(found)} of {clients} have it all"
        assert watched.growth < MOST_GROWTH, f"grew by {watched.growth / _MIB:.0f} MiB"
        return {
            "MiB": mebibytes,
            "clients": clients,
            "upload MiB/s": round(mebibytes / uploaded, 1),
            "downloads MiB/s": round(mebibytes * clients / fetched, 1),
            "memory growth MiB": round(watched.growth / _MIB, 1),
            **costs.figures,
        }


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


def _download(server: Portal, package: int, mebibytes: int) -> str:
    """In ranges, as an agent that goes on where it was cut off."""
    digest, size = hashlib.sha256(), mebibytes * _MIB
    for start in range(0, size, 16 * _PIECE):
        request = _request(server, f"packages/{package}/download")
        request.add_header("Range", f"bytes={start}-{min(start + 16 * _PIECE, size) - 1}")
        with urllib.request.urlopen(request, timeout=600) as answer:
            while data := answer.read(_PIECE):
                digest.update(data)
    return digest.hexdigest()


def _request(server: Portal, path: str, **more: Any) -> urllib.request.Request:
    headers = {"Authorization": f"Bearer {server.token}"}
    return urllib.request.Request(f"http://127.0.0.1:{server.port}/api/v1/{path}", headers=headers, **more)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mebibytes", type=int, default=300)
    parser.add_argument("--clients", type=int, default=20)
    show("package downloads", measure(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
