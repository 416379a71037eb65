"""The settings of TLS and of agents' certificates, read for `opamp_platform.settings`."""

from __future__ import annotations

import ipaddress
import re
import shlex
from datetime import timedelta
from urllib.parse import urlsplit

from certificates.portal_options import CertificateOptions, CertificatePolicy, Network
from opamp_platform.environment import Environment, StrangeValue
from opamp_server.options import TlsFiles
from opamp_transport.origins import is_loopback


def tls_files(env: Environment, certificates: CertificateOptions, *, whole: bool = True) -> TlsFiles | None:
    """The files of TLS in this server, ``None`` without it. What is in them is looked at where a server starts.

    Unless it is the ``whole``, one of a pair may be missing still.
    """
    cert, key = _path(env, "TLS_CERT"), _path(env, "TLS_KEY")
    minimum = env.one_of("TLS_MIN_VERSION", "1.2", "1.3")
    if whole and bool(cert) != bool(key):
        raise StrangeValue("TLS_CERT and TLS_KEY go together: set both or none.")
    if not (cert and key):
        return None
    return TlsFiles(cert, key, minimum, certificates.authorities)


def certificate_options(env: Environment, *, proxies: int, whole: bool = True) -> CertificateOptions:
    """Which certificates agents may show, and who makes them; how the former fit together is judged of the ``whole``."""
    header = env.text("OPAMP_CLIENT_CERTIFICATE_HEADER").lower()
    options = CertificateOptions(
        policy=CertificatePolicy(env.one_of("OPAMP_CERTIFICATES", *CertificatePolicy)),
        required=env.one_of("OPAMP_CLIENT_CERTIFICATES", "optional", "required") == "required",
        header=header,
        proxies=_networks(env, "OPAMP_CLIENT_CERTIFICATE_PROXIES"),
        client_ca=_path(env, "TLS_CLIENT_CA"),
        ca_cert=_path(env, "OPAMP_CA_CERT"),
        ca_key=_path(env, "OPAMP_CA_KEY"),
        command=tuple(shlex.split(env.text("OPAMP_CA_COMMAND"))),
        url=env.text("OPAMP_CA_URL"),
        token=env.text("OPAMP_CA_TOKEN"),
        lifetime=timedelta(days=env.integer("OPAMP_CERTIFICATE_DAYS", 90, least=1, most=825)),
    )
    if whole:
        _must_know_clients(env, options, proxies)
    _must_have_one_signer(options)
    return options


def _must_know_clients(env: Environment, options: CertificateOptions, proxies: int) -> None:
    if options.header and not re.fullmatch(r"[a-z0-9-]{1,100}", options.header):
        raise StrangeValue("OPAMP_CLIENT_CERTIFICATE_HEADER is no name of a header.")
    if options.header and not (options.proxies and proxies):
        raise StrangeValue(
            "OPAMP_CLIENT_CERTIFICATE_HEADER counts from a trusted proxy alone: set OPAMP_TRUSTED_PROXIES, and the proxy's "
            "address as OPAMP_CLIENT_CERTIFICATE_PROXIES."
        )
    if options.header and not options.authorities:
        raise StrangeValue(
            "OPAMP_CLIENT_CERTIFICATE_HEADER needs the authorities it is checked against: TLS_CLIENT_CA."
        )
    in_process = bool(env.text("TLS_CERT") and options.authorities)
    if in_process and env.text("OPAMP_SERVER") == "stock" and not options.header:
        raise StrangeValue(
            "OPAMP_SERVER=stock does not show client certificates to the portal: use OPAMP_SERVER=own, or unset TLS_CLIENT_CA "
            "and OPAMP_CA_CERT."
        )
    if options.required and not (in_process or options.header):
        raise StrangeValue(
            "OPAMP_CLIENT_CERTIFICATES=required, but nobody can show one: set TLS_CERT, TLS_KEY and TLS_CLIENT_CA, or "
            "OPAMP_CLIENT_CERTIFICATE_HEADER behind a proxy."
        )


def _must_have_one_signer(options: CertificateOptions) -> None:
    signers = [bool(options.ca_key), bool(options.command), bool(options.url)]
    if sum(signers) > 1:
        raise StrangeValue("OPAMP_CA_KEY, OPAMP_CA_COMMAND and OPAMP_CA_URL exclude each other: keep one of them.")
    if options.ca_key and not options.ca_cert:
        raise StrangeValue("OPAMP_CA_KEY is set without OPAMP_CA_CERT, the authority's own certificate.")
    if options.offered and not any(signers):
        raise StrangeValue(
            f"OPAMP_CERTIFICATES={options.policy.value} needs who signs: OPAMP_CA_CERT and OPAMP_CA_KEY, OPAMP_CA_COMMAND or "
            "OPAMP_CA_URL."
        )
    if options.offered and not options.ca_cert:
        raise StrangeValue("OPAMP_CERTIFICATES needs OPAMP_CA_CERT, the certificate of who signs.")
    if not options.url:
        return
    parts = urlsplit(options.url)
    if parts.scheme == "https" and parts.hostname:
        return
    if parts.scheme != "http" or not parts.hostname or not _on_loopback(parts.hostname):
        raise StrangeValue("OPAMP_CA_URL must be https://…, or http:// on loopback.")


def _on_loopback(host: str) -> bool:
    try:
        return host == "localhost" or is_loopback(host)
    except ValueError:
        return False


def _path(env: Environment, name: str) -> str:
    said = env.text(name)
    if said.startswith("-----BEGIN"):
        raise StrangeValue(f"{name} is the path of a file, not what is in it ({name}_FILE would be read for the path).")
    return said


def _networks(env: Environment, name: str) -> tuple[Network, ...]:
    try:
        return tuple(ipaddress.ip_network(item) for item in env.items(name))
    except ValueError as error:
        raise StrangeValue(f"{name}: {error}. Write 192.0.2.7 or 10.0.0.0/8.") from None
