"""The settings of alerts and of e-mail, read for `opamp_platform.settings`."""

from __future__ import annotations

import ipaddress
from typing import Any
from urllib.parse import unquote, urlsplit

from alerts.alert_options import RULE_KINDS, AlertOptions
from opamp_platform.environment import Environment, StrangeValue

_SCHEMES = {"smtp": 25, "smtp+tls": 587, "smtps": 465}
_SECONDS = 10

# Names for the schema, where several models have a field of one name.
ALERT_ENUMS = {
    "AlertRuleKind": [(name, name) for name in RULE_KINDS],
    "AlertSeverity": "alerts.models.AlertSeverity",
    "AlertState": "alerts.models.Alert.State",
    "AlertGrouping": "alerts.models.AlertRule.Grouping",
    "ReceiverKind": "alerts.models.Receiver.Kind",
    "DeliveryState": "alerts.models.AlertDelivery.State",
    "DeliveryEvent": "alerts.models.AlertDelivery.Event",
}


def alert_settings(env: Environment) -> tuple[AlertOptions, dict[str, Any]]:
    """The options, and Django's own settings of e-mail."""
    email = _email(env)
    options = AlertOptions(
        allowed=_networks(env),
        retention_days=env.integer("ALERTS_RETENTION_DAYS", 90, most=3_650),
        email=bool(email),
    )
    return options, email


def _email(env: Environment) -> dict[str, Any]:
    """By ``EMAIL_URL``; nothing without it."""
    url, sender = env.text("EMAIL_URL"), env.text("EMAIL_FROM")
    if not url:
        return {}
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = 0
    if parts.scheme not in _SCHEMES or not parts.hostname or port == 0 or parts.path.strip("/") or parts.query:
        raise StrangeValue("EMAIL_URL must be smtp://user:password@host:25, smtp+tls://…:587 or smtps://…:465.")
    if "@" not in sender:
        raise StrangeValue("EMAIL_URL is set without EMAIL_FROM, the address that notices come from.")
    return {
        "EMAIL_HOST": parts.hostname,
        "EMAIL_PORT": port or _SCHEMES[parts.scheme],
        "EMAIL_HOST_USER": unquote(parts.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(parts.password or ""),
        "EMAIL_USE_TLS": parts.scheme == "smtp+tls",
        "EMAIL_USE_SSL": parts.scheme == "smtps",
        "EMAIL_TIMEOUT": _SECONDS,
        "DEFAULT_FROM_EMAIL": sender,
    }


def _networks(env: Environment) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    try:
        return tuple(ipaddress.ip_network(item) for item in env.items("ALERTS_ALLOWED_NETWORKS"))
    except ValueError as error:
        raise StrangeValue(f"ALERTS_ALLOWED_NETWORKS: {error}. Write 10.1.2.3 or 10.0.0.0/8.") from None
