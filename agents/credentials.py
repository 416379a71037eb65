"""Credentials of single agents: what they look like on the wire, and who may speak for which agent (S-115, S-117).

Pure: keys and facts come in as arguments. A credential proves itself by a MAC, so an entry point tells a true one from a made-up
one without any row; nothing secret is stored. Whether a true one is still in force is for the agent's row to say.
"""

from __future__ import annotations

import base64
import enum
import hashlib
import hmac
import re
import secrets
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

# Which way of making them: another one gets another prefix, and both can be told apart.
_PREFIX = "oac1"
_PATTERN = re.compile(rf"{_PREFIX}\.([0-9a-f]{{32}})\.([0-9a-f]{{16}})\.[A-Za-z0-9_-]{{43}}")


class AgentCredential(NamedTuple):
    """What a credential says. ``number`` is random, below 2⁶³, and never given twice.

    ``instance_uid`` is the uid its agent had when it was issued. The row that holds the number is the agent it speaks
    for, so it outlives a change of uid (S-30).
    """

    instance_uid: UUID
    number: int


class EnrolmentPass(NamedTuple):
    """What an enrolment token that let a request in leaves of itself: the key of its row, and its name, which never changes."""

    token_id: int
    name: str


class ClientCertificate(NamedTuple):
    """A verified client certificate: the agent that it names, and the digest of what its authority signed (S-23).

    It was proven in the TLS handshake, and holds nothing secret.
    """

    instance_uid: UUID
    digest: str


Pass = AgentCredential | EnrolmentPass | ClientCertificate
"""What a speaker showed, where that was not the secret of all agents."""


class IssuedCertificate(NamedTuple):
    """What is known of a certificate that was issued here: whose it is, ``None`` for an agent that is gone, and if it counts."""

    agent_id: int | None
    in_force: bool


class Denial(enum.StrEnum):
    """Why a message may not speak for its agent. The value is a metric label."""

    FOREIGN = "credential of another agent"
    OUTDATED = "credential not in force"
    REVOKED = "credential revoked"
    SHARED = "shared secret not enough"
    ENROLMENT_UNKNOWN = "enrolment token unknown"
    ENROLMENT_EXPIRED = "enrolment token expired"
    ENROLMENT_REVOKED = "enrolment token revoked"
    ENROLMENT_USED_UP = "enrolment token used up"
    ENROLMENT_FOREIGN = "enrolment token not enough"
    REJECTED = "agent rejected"
    FOREIGN_CERTIFICATE = "certificate of another agent"
    CERTIFICATE_REVOKED = "certificate revoked"

    @property
    def text(self) -> str:
        """What the operator of the agent should do."""
        return _TEXTS[self]


_TEXTS = {
    Denial.FOREIGN: "The credential belongs to another agent and speaks for that one alone. Let this agent connect with "
    "OPAMP_SECRET_KEY.",
    Denial.OUTDATED: "The credential is not in force any more. Let the agent connect with OPAMP_SECRET_KEY; if that is "
    "not enough, allow its enrolment in the portal first.",
    Denial.REVOKED: "The agent was shut out: its credential was revoked. It may come back when its enrolment is allowed in "
    "the portal.",
    Denial.SHARED: "The agent has a credential of its own, so OPAMP_SECRET_KEY is not enough for it. If the agent lost its "
    "credential, allow its enrolment in the portal.",
    Denial.ENROLMENT_UNKNOWN: "The enrolment token is none of this portal's. Copy it again, whole, or make a new one.",
    Denial.ENROLMENT_EXPIRED: "The enrolment token has expired. Make a new one in the portal.",
    Denial.ENROLMENT_REVOKED: "The enrolment token was revoked. Make a new one in the portal.",
    Denial.ENROLMENT_USED_UP: "The enrolment token has brought as many agents as it may. Make a new one in the portal.",
    Denial.ENROLMENT_FOREIGN: "The agent has a credential of its own and did not come by this enrolment token, which is not enough "
    "for it then. If the agent lost its credential, allow its enrolment in the portal.",
    Denial.REJECTED: "The agent was rejected, so its enrolment is refused until it is approved in the portal.",
    Denial.FOREIGN_CERTIFICATE: "The client certificate names another agent and speaks for that one alone. Give this agent a "
    "certificate of its own, or let it connect with OPAMP_SECRET_KEY.",
    Denial.CERTIFICATE_REVOKED: "The client certificate is not in force: it was revoked, or its agent was forgotten. Let the "
    "agent connect with OPAMP_SECRET_KEY and ask for another.",
}


def new_number() -> int:
    """A number for a credential. A counter would begin anew for an agent that was forgotten, and revive its old ones."""
    return secrets.randbits(63)


def text_of(credential: AgentCredential, *, key: str) -> str:
    """The credential as it travels, 98 characters that need no escaping in headers or URLs."""
    said = f"{_PREFIX}.{credential.instance_uid.hex}.{credential.number:016x}"
    mac = hmac.digest(_mac_key(key), said.encode(), "sha256")
    return f"{said}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def read_credential(text: str, *, key: str) -> AgentCredential | None:
    """The credential that ``text`` is, or ``None`` unless it was made with this ``key``. ``text`` may be anything."""
    found = _PATTERN.fullmatch(text)
    if found is None:
        return None
    credential = AgentCredential(UUID(found[1]), int(found[2], 16))
    # The whole text, so that there is one spelling of each.
    return credential if hmac.compare_digest(text_of(credential, key=key), text) else None


@lru_cache(maxsize=2)
def _mac_key(key: str) -> bytes:
    """A key for this use alone: what is signed elsewhere with ``key`` is no help in making credentials."""
    return hmac.digest(key.encode(), b"opamp agent credential", hashlib.sha256)
