"""A real S3 server (versitygw, on a folder), run and asked by tests; `tests.interop.go_programs` builds it."""

from __future__ import annotations

import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import boto3

from tests.interop import go_programs
from tests.live_server import free_port

BUCKET, ACCESS_KEY, SECRET_KEY = "opamp", "tests-access", "tests-secret"
_START_SECONDS, _STOP_SECONDS = 30.0, 15.0


def obstacle() -> str:
    """Why it is not here, in a few words; empty when it is."""
    return go_programs.obstacle(go_programs.OBJECT_STORE)


class ObjectStore:
    """The server, with one empty bucket; ``with ObjectStore(folder) as store``. It keeps port and files when it is stopped."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._log = folder / "object_store.log"
        self._files, self._facts, self._accounts = (folder / name for name in ("buckets", "facts", "accounts"))
        for path in (self._files, self._facts, self._accounts):
            path.mkdir()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def settings(self) -> dict[str, str]:
        """The portal's settings for it."""
        return {
            "S3_ENDPOINT_URL": self.url,
            "S3_BUCKET": BUCKET,
            "S3_ACCESS_KEY": ACCESS_KEY,
            "S3_SECRET_KEY": SECRET_KEY,
        }

    def __enter__(self) -> Self:
        self.start()
        self.client.create_bucket(Bucket=BUCKET)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and wait until it answers."""
        # Facts of files lie beside them, for not every file system of a test has extended attributes.
        command = [
            str(go_programs.OBJECT_STORE.path), "--port", f"127.0.0.1:{self.port}", "--access", ACCESS_KEY,
            "--secret", SECRET_KEY, "--iam-dir", str(self._accounts), "--health", "/health", "--quiet",
            "posix", "--sidecar", str(self._facts), str(self._files),
        ]  # fmt: skip
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("VGW_", "ROOT_"))}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            ended = self._process.poll() is not None or time.monotonic() > deadline
            assert not ended, self._log.read_text()[-4_000:]
            time.sleep(0.05)

    def stop(self) -> None:
        """End it; what it has stays."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(_STOP_SECONDS)

    @contextmanager
    def away(self) -> Iterator[None]:
        """Inside, nobody answers."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    @property
    def client(self) -> Any:
        """A client with all rights."""
        return boto3.client(
            "s3", endpoint_url=self.url, aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY,
            region_name="us-east-1",
        )  # fmt: skip

    def objects(self) -> dict[str, Any]:
        """What is in the bucket, by key."""
        return {each["Key"]: each for each in self.client.list_objects_v2(Bucket=BUCKET).get("Contents", [])}

    def unfinished(self) -> list[str]:
        """The keys of multipart uploads that nobody ended."""
        return [each["Key"] for each in self.client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])]

    def age(self, seconds: float) -> None:
        """Everything in it was written so long ago."""
        then = time.time() - seconds
        for path in sorted(self._files.rglob("*"), reverse=True):
            os.utime(path, (then, then))

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=2) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False
