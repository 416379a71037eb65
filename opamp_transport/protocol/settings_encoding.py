"""Connection settings to protobuf. Pure, as `encoding`, whose part it is."""

from __future__ import annotations

from agents.offered_settings import Destination, FurtherSettings, Headers, ProxyOptions, TlsOptions
from agents.replies import OpampSettings
from opamp_transport.proto import opamp_pb2


def put_opamp_settings(message: opamp_pb2.ConnectionSettingsOffers, offer: OpampSettings) -> None:
    """Raises ValueError without hash, endpoint or interval (S-75, S-78, S-79)."""
    if not (offer.settings_hash and offer.endpoint and offer.interval_seconds > 0):
        raise ValueError("connection settings need a hash, an endpoint and an interval above 0 (S-75, S-78, S-79)")
    message.hash = offer.settings_hash
    message.opamp.destination_endpoint = offer.endpoint
    message.opamp.heartbeat_interval_seconds = offer.interval_seconds
    _put_headers(message.opamp.headers, (*offer.headers, *offer.further_headers))
    if offer.certificate or offer.ca_certificate:
        # The key is the agent's own and was never here (S-85).
        message.opamp.certificate.cert = offer.certificate
        message.opamp.certificate.ca_cert = offer.ca_certificate
    elif offer.tells_verification:
        # Without the member supervisors stop verifying the server (S-80).
        message.opamp.certificate.SetInParent()
    if offer.tls is not None:
        _put_tls(message.opamp.tls, offer.tls)
    if offer.proxy is not None:
        _put_proxy(message.opamp.proxy, offer.proxy)


def put_further_settings(message: opamp_pb2.ConnectionSettingsOffers, further: FurtherSettings) -> None:
    """Raises ValueError without hash, or with another one than stands there already (S-78)."""
    if not further.settings_hash or message.hash not in (b"", further.settings_hash):
        raise ValueError("all members of connection settings go under one hash (S-78)")
    message.hash = further.settings_hash
    for target, telemetry in (
        (message.own_metrics, further.own_metrics),
        (message.own_traces, further.own_traces),
        (message.own_logs, further.own_logs),
    ):
        if telemetry is not None:
            _put_destination(target, telemetry)
    for name, other in further.others.items():
        entry = message.other_connections[name]
        _put_destination(entry, other)
        for key, value in other.other_settings:
            entry.other_settings[key] = value


def _put_destination(
    message: opamp_pb2.TelemetryConnectionSettings | opamp_pb2.OtherConnectionSettings, destination: Destination
) -> None:
    message.SetInParent()
    message.destination_endpoint = destination.endpoint
    _put_headers(message.headers, destination.headers)
    if destination.certificate is not None:
        message.certificate.cert = destination.certificate.certificate.encode()
        message.certificate.private_key = destination.certificate.private_key.encode()
        message.certificate.ca_cert = destination.certificate.ca_certificate.encode()
    if destination.tls is not None:
        _put_tls(message.tls, destination.tls)
    if destination.proxy is not None:
        _put_proxy(message.proxy, destination.proxy)


def _put_headers(message: opamp_pb2.Headers, headers: Headers) -> None:
    for name, value in headers:
        message.headers.add(key=name, value=value)


def _put_tls(message: opamp_pb2.TLSConnectionSettings, tls: TlsOptions) -> None:
    message.SetInParent()
    message.ca_pem_contents = tls.ca_pem
    message.include_system_ca_certs_pool = tls.include_system_ca_pool
    message.insecure_skip_verify = tls.insecure_skip_verify
    message.min_version = tls.min_version
    message.max_version = tls.max_version
    message.cipher_suites.extend(tls.cipher_suites)


def _put_proxy(message: opamp_pb2.ProxyConnectionSettings, proxy: ProxyOptions) -> None:
    message.url = proxy.url
    _put_headers(message.connect_headers, proxy.connect_headers)
