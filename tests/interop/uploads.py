"""Packages of tests made over REST on a real server: as a person's program would."""

from __future__ import annotations

import hashlib
import http.client
import random
import uuid
from dataclasses import dataclass
from typing import Any

from tests.live_server import Answer, LiveServer, decoded

RAW = "application/octet-stream"


def content_of(size: int, seed: int = 0) -> bytes:
    """So many bytes that compress badly, the same for each seed."""
    return random.Random(seed).randbytes(size)


def sha256_of(content: bytes) -> str:
    """In hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


@dataclass
class UploadedPackage:
    """A package of a server's, with versions by number."""

    server: LiveServer
    id: int

    @classmethod
    def made(cls, server: LiveServer, name: str, selector: dict[str, str]) -> UploadedPackage:
        """A new one that these labels match."""
        return cls(server, int(server.post("packages", {"name": name, "selector": selector})["id"]))

    def add_version(self, version: str) -> int:
        """Returns its number."""
        return int(self.server.post(f"packages/{self.id}/versions", {"version": version})["number"])

    def put(self, number: int, content: bytes, **facts: str) -> Answer:
        """The raw body as the file of a version."""
        query = "&".join(f"{name}={value}" for name, value in {"filename": "file.bin", **facts}.items())
        return self.send("PUT", f"versions/{number}/files?{query}", content, RAW)

    def post_form(self, number: int, content: bytes, **facts: str) -> Answer:
        """The file in a form, as a browser sends it."""
        boundary = uuid.uuid4().hex
        parts = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in facts.items()
        ]
        head = "".join(parts) + (
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="file.bin"\r\n'
            f"Content-Type: {RAW}\r\n\r\n"
        )
        body = head.encode() + content + f"\r\n--{boundary}--\r\n".encode()
        return self.send("POST", f"versions/{number}/files", body, f"multipart/form-data; boundary={boundary}")

    def put_half(self, number: int, content: bytes, size: int) -> None:
        """Promise ``size`` bytes, send these and close the connection."""
        connection = self._connection()
        try:
            connection.putrequest("PUT", f"/api/v1/packages/{self.id}/versions/{number}/files?filename=half.bin")
            for name, value in {**self._headers(RAW), "Content-Length": str(size)}.items():
                connection.putheader(name, value)
            connection.endheaders()
            connection.send(content)
        finally:
            connection.close()

    def release(self, number: int) -> None:
        """To everybody it matches."""
        self.server.post(f"packages/{self.id}/versions/{number}/release", {"release": "at_once"})

    def files(self, number: int) -> list[dict[str, Any]]:
        """What REST knows of the files of a version."""
        return list(self.server.get(f"packages/{self.id}/versions/{number}")["files"])

    def send(self, method: str, path: str, body: bytes, kind: str) -> Answer:
        """One request below the package's address."""
        connection = self._connection()
        try:
            connection.request(method, f"/api/v1/packages/{self.id}/{path}", body, self._headers(kind))
            response = connection.getresponse()
            return decoded(response.status, response.read())
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)

    def _headers(self, kind: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.server.token}", "Content-Type": kind}
