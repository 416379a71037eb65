"""A server of a test's own that does TLS itself."""

from __future__ import annotations

import signal
import socket
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from cryptography import x509
from websockets.sync.client import connect

from tests.certificate_files import Authority, pem_of
from tests.live_server import LiveServer

TIMEOUT = 30.0


class TlsServer(LiveServer):
    """`LiveServer` over TLS; clients know ``authority``."""

    def __init__(self, data_dir: Path, authority: Authority, *options: str, **environment: Any) -> None:
        cert, key = authority.write_server(data_dir)
        super().__init__(data_dir, "--tls-cert", str(cert), "--tls-key", str(key), *options, **environment)
        self.cert, self.key, self.authority = cert, key, authority

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def websocket_endpoint(self) -> str:
        return f"wss://127.0.0.1:{self.port}/v1/opamp"

    def context(self) -> ssl.SSLContext:
        return self.trusting()

    def trusting(self) -> ssl.SSLContext:
        """What a client verifies this server with."""
        return ssl.create_default_context(cadata=pem_of(self.authority.certificate).decode())

    def open(self, path: str, body: bytes | None = None, **headers: str) -> tuple[Any, bytes]:
        """The answer and its body."""
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.url + path, data=body, headers=fields)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT, context=self.trusting()) as response:
                return response, response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error, error.read()

    def connect(self, context: ssl.SSLContext | None = None) -> Any:
        """A WebSocket of an agent."""
        return connect(self.websocket_endpoint, proxy=None, ssl=context or self.trusting(), open_timeout=TIMEOUT)

    def served(self) -> x509.Certificate:
        """The certificate that a client is shown now."""
        with (
            socket.create_connection(("127.0.0.1", self.port), TIMEOUT) as plain,
            self.trusting().wrap_socket(plain, server_hostname="127.0.0.1") as secure,
        ):
            return x509.load_der_x509_certificate(secure.getpeercert(binary_form=True) or b"")

    def renew(self) -> None:
        """Ask it to read the files anew."""
        assert self.process is not None
        self.process.send_signal(signal.SIGHUP)

    def _is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"the server ended with {self.process.returncode}:\n{self.log_tail()}"
        try:
            return bool(self.open("/health/ready")[0].status == 200)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False
