"""What the server says: our decoded form of ``ServerToAgent``. Pure; knows neither protobuf nor the database."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from agents.offered_settings import ProxyOptions, TlsOptions, header_fields
from agents.remote_config import RemoteConfig
from agents.reports import CustomMessage


class ServerCapabilities(enum.IntFlag):
    """Bits of ``ServerToAgent.capabilities``. A bit is advertised only when the behaviour exists."""

    ACCEPTS_STATUS = 0x01
    OFFERS_REMOTE_CONFIG = 0x02
    ACCEPTS_EFFECTIVE_CONFIG = 0x04
    OFFERS_PACKAGES = 0x08
    ACCEPTS_PACKAGES_STATUS = 0x10
    OFFERS_CONNECTION_SETTINGS = 0x20
    ACCEPTS_CONNECTION_SETTINGS_REQUEST = 0x40


# AcceptsStatus always (S-52). Package statuses are kept and shown. What else is offered, kinds of offers add
# themselves (`agents.services.offers`).
SERVER_CAPABILITIES = (
    ServerCapabilities.ACCEPTS_STATUS
    | ServerCapabilities.OFFERS_REMOTE_CONFIG
    | ServerCapabilities.ACCEPTS_EFFECTIVE_CONFIG
    | ServerCapabilities.ACCEPTS_PACKAGES_STATUS
)


class ErrorType(enum.IntEnum):
    """``ServerErrorResponse.type``."""

    UNKNOWN = 0
    BAD_REQUEST = 1
    UNAVAILABLE = 2


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    """``ServerToAgent.error_response``; excludes every field but ``instance_uid`` (S-38).

    ``retry_after_seconds`` is sent only with `ErrorType.UNAVAILABLE` (as ``retry_info``, nanoseconds on the wire, S-102).
    """

    type: ErrorType
    message: str
    retry_after_seconds: float | None = None


class ReplyMember(Protocol):
    """Something that a kind of offer says, whatever it is: the transport writes it without knowing what it means."""

    def fields(self) -> Mapping[str, Any]:
        """Fields of ``ServerToAgent`` by the protocol's own names, messages and maps within as mappings, repeated ones as lists.

        Two members may fill one message, where they agree on what both say. Raises ValueError for what no agent may get.
        """


@dataclass(frozen=True, slots=True)
class OpampSettings:
    """``connection_settings.opamp`` with a deliberate heartbeat interval, never 0 (S-73, S-75).

    ``endpoint`` is the non-empty URL the agent reached us at (S-79). ``headers`` will let it in, those it sent itself or
    one with a credential of its own: an agent that builds a new connection from the offer has nothing else.
    ``settings_hash`` covers all of it (S-78). ``certificate`` is one that the agent asked for, with ``ca_certificate``, that of
    who signed it, both PEM; without one an agent uses none from then on (S-80, S-85). ``on_request_only``: offered with what
    the agent asked for, and never for the interval alone. ``further_headers`` go with the others and let nobody in, unless
    ``has_way_in``: then they do, and ``headers`` are empty. ``covers`` stands in the hash for all other members (S-78).
    ``tells_verification``: a certificate goes along even if it is empty, since supervisors verify nothing without one.
    """

    endpoint: str
    interval_seconds: int
    settings_hash: bytes
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    certificate: bytes = field(default=b"", repr=False)
    ca_certificate: bytes = field(default=b"", repr=False)
    on_request_only: bool = False
    further_headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    has_way_in: bool = False
    tls: TlsOptions | None = None
    proxy: ProxyOptions | None = None
    covers: bytes = b""
    tells_verification: bool = False

    @property
    def over_tls(self) -> bool:
        """True when the endpoint is a ``wss`` or ``https`` one."""
        return self.endpoint.startswith(("wss:", "https:"))

    def fields(self) -> dict[str, Any]:
        """As `ReplyMember`. Raises ValueError without hash, endpoint or interval (S-75, S-78, S-79)."""
        if not (self.settings_hash and self.endpoint and self.interval_seconds > 0):
            raise ValueError("connection settings need a hash, an endpoint and an interval above 0 (S-75, S-78, S-79)")
        opamp: dict[str, Any] = {
            "destination_endpoint": self.endpoint,
            "heartbeat_interval_seconds": self.interval_seconds,
        }
        headers = (*self.headers, *self.further_headers)
        if headers:
            opamp["headers"] = header_fields(headers)
        if self.certificate or self.ca_certificate:
            # The key is the agent's own and was never here (S-85).
            opamp["certificate"] = {"cert": self.certificate, "ca_cert": self.ca_certificate}
        elif self.tells_verification:
            # Without the member supervisors stop verifying the server (S-80).
            opamp["certificate"] = {}
        if self.tls is not None:
            opamp["tls"] = self.tls.fields()
        if self.proxy is not None:
            opamp["proxy"] = self.proxy.fields()
        return {"connection_settings": {"hash": self.settings_hash, "opamp": opamp}}


@dataclass(frozen=True, slots=True)
class OfferedPackage:
    """``PackageAvailable``: one version of a package for one agent, and the single file it comes in (S-89).

    ``package_hash`` covers all else and the file's content, ``content_hash`` is the file's SHA-256. ``signature`` is optional
    and agent-defined; ``headers`` go with the download.
    """

    version: str
    package_hash: bytes
    download_url: str
    content_hash: bytes
    is_addon: bool = True
    signature: bytes = b""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    def fields(self) -> dict[str, Any]:
        """``PackageAvailable``. Raises ValueError without hashes or file (S-89)."""
        if not (self.package_hash and self.content_hash and self.download_url):
            raise ValueError("a package needs a hash, and a file with address and hash of its own (S-89)")
        file: dict[str, Any] = {
            "download_url": self.download_url,
            "content_hash": self.content_hash,
            "signature": self.signature,
        }
        if self.headers:
            file["headers"] = header_fields(self.headers)
        kind = "PackageType_Addon" if self.is_addon else "PackageType_TopLevel"
        return {"type": kind, "version": self.version, "hash": self.package_hash, "file": file}


@dataclass(frozen=True, slots=True)
class PackagesOffer:
    """``PackagesAvailable``: all packages that an agent should have, by name, and the hash over all of them (S-89)."""

    packages: Mapping[str, OfferedPackage]
    all_packages_hash: bytes

    def fields(self) -> dict[str, Any]:
        """As `ReplyMember`. Raises ValueError without the hash of all of them (S-89)."""
        if not self.all_packages_hash:
            raise ValueError("packages must be offered with the hash of all of them (S-89)")
        packages = {name: package.fields() for name, package in self.packages.items()}
        return {"packages_available": {"all_packages_hash": self.all_packages_hash, "packages": packages}}


@dataclass(frozen=True, slots=True)
class Reply:
    """One ``ServerToAgent``. ``instance_uid`` is the 16 raw bytes the agent last used, or ``b""`` when unreadable (S-27, S-101).

    With ``restart`` only uid and capabilities travel beside it (S-96); the encoder enforces this and S-38. ``further`` is whatever
    kinds of offers say that no field here is for.
    """

    instance_uid: bytes
    capabilities: int = int(SERVER_CAPABILITIES)
    error: ErrorResponse | None = None
    report_full_state: bool = False
    report_available_components: bool = False
    remote_config: RemoteConfig | None = None
    config_hash: bytes = b""
    packages: PackagesOffer | None = None
    opamp_settings: OpampSettings | None = None
    new_instance_uid: UUID | None = None
    restart: bool = False
    custom_capabilities: tuple[str, ...] | None = None
    custom_message: CustomMessage | None = None
    further: tuple[ReplyMember, ...] = ()
