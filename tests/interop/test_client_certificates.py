"""The reference client asks for a certificate with a key of its own, and comes back with it (S-84 … S-88)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.certificate_files import Authority, pem_of_key
from tests.interop.programs import KINDS, Kind
from tests.interop.stage import Stage
from tests.tls_server import TlsServer

pytestmark = [
    pytest.mark.interop,
    pytest.mark.parametrize(
        "kind", [kind for kind in KINDS if kind.program == "go"], ids=lambda kind: kind.name, indirect=True
    ),
]
SECRET = "a-shared-secret"


@pytest.fixture(scope="module")
def signing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsServer]:
    """A server over TLS whose people approve certificates."""
    folder = tmp_path_factory.mktemp("signing")
    signer = Authority.made("agents")
    key = folder / "agents.key"
    key.write_bytes(pem_of_key(signer.key))
    environment = {
        "OPAMP_CERTIFICATES": "manual",
        "OPAMP_CA_CERT": str(signer.write(folder, "agents")),
        "OPAMP_CA_KEY": str(key),
        "OPAMP_SECRET_KEY": SECRET,
    }
    authority = Authority.made()
    authority.write(folder, "servers")
    with TlsServer(folder, authority, **environment) as server:
        yield server


class Asking:
    """One agent, and its newest request as REST shows it."""

    def __init__(self, kind: Kind, server: TlsServer) -> None:
        self.stage = Stage(kind, server)
        self.server = server
        self.options = ("--secret", SECRET, "--settings", "--ca", str(self._authorities))

    @property
    def _authorities(self) -> Path:
        return self.server.data_dir / "servers.pem"

    def request(self, uid: str, **fields: Any) -> dict[str, Any]:
        """Once it has these fields."""

        def claim() -> dict[str, Any] | None:
            rows = self.server.get(f"certificates?instance_uid={uid}")["results"]
            return rows[0] if rows and fields.items() <= rows[0].items() else None

        return self.server.eventually(claim, 60, f"a certificate with {fields}") or {}


@pytest.mark.rule("S-23", "S-84", "S-85", "S-117")
def test_it_comes_back_with_the_certificate_until_that_is_revoked(kind: Kind, signing: TlsServer) -> None:
    asking = Asking(kind, signing)
    with asking.stage.program(*asking.options) as agent:
        uid = agent.expect("uid")["uid"]
        agent.expect("connected")
        agent.tell("csr")
        waiting = asking.request(uid, state="pending")
        assert waiting["key_type"] == "P-256"
        asking.stage.wait_for_messages(2)
        assert agent.count("moved") == 0
        signing.post(f"certificates/{waiting['id']}/approve", {"key_sha256": waiting["key_sha256"]})
        assert agent.expect("moved")["certificate"] is True
        asking.request(uid, state="issued")
        signing.eventually(lambda: asking.request(uid)["used_at"], 60, "it is shown")
        asking.stage.wait_for_messages(3)
        assert agent.count("moved") == 1
        assert asking.stage.sees(connected=True)["instance_uid"] == uid
        signing.post(f"certificates/{waiting['id']}/revoke", {"reason": "lost"})
        if kind.scheme == "ws":
            # Over HTTP the client tells nobody of a 401.
            assert "was revoked" in agent.expect("error")["error"]
        asking.stage.sees(connected=False)


@pytest.mark.rule("S-86")
def test_it_is_told_no(kind: Kind, signing: TlsServer) -> None:
    asking = Asking(kind, signing)
    with asking.stage.program(*asking.options) as agent:
        uid = agent.expect("uid")["uid"]
        agent.tell("csr")
        waiting = asking.request(uid, state="pending")
        refusal = {"key_sha256": waiting["key_sha256"], "reason": "not one of ours"}
        signing.post(f"certificates/{waiting['id']}/deny", refusal)
        assert "not one of ours" in agent.expect("error")["error"]
        asking.stage.wait_for_messages(2)
        assert agent.count("error") == 1
        assert asking.stage.sees(connected=True)["instance_uid"] == uid
