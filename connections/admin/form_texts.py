"""Between the content of connection settings and the fields of a form. Pure.

What the form has no field for (versions of TLS, cipher suites, client certificates) stays as it is.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

from connections.content import OPAMP, TELEMETRY, Content

SECTIONS = (OPAMP, *TELEMETRY)
# How an agent verifies whom it is connected to.
BY_SYSTEM, BY_CA, NOT_AT_ALL = "system", "ca", "off"


def headers_text(headers: Mapping[str, str]) -> str:
    """One in a line."""
    return "\n".join(f"{name}: {value}" for name, value in headers.items())


def headers_typed(text: str) -> dict[str, str]:
    """The inverse; a line without a colon is a name without a value, which is refused later. Of a name twice, both stay."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        if line.strip():
            name, _colon, value = line.partition(":")
            # A second one under the same name would be lost: with a space it is no name, and refused.
            found[name.strip() if name.strip() not in found else f"{name.strip()} "] = value.strip()
    return found


def fields_of(content: Content) -> dict[str, Any]:
    """What the form shows of ``content``."""
    values: dict[str, Any] = {}
    for section in SECTIONS:
        member = content.get(section, {})
        tls = member.get("tls", {})
        values |= {
            f"{section}_endpoint": member.get("endpoint", ""),
            f"{section}_headers": headers_text(member.get("headers", {})),
            f"{section}_ca_pem": tls.get("ca_pem_contents", ""),
            f"{section}_verify": _verification(tls),
            f"{section}_proxy": member.get("proxy", {}).get("url", ""),
        }
    values["opamp_heartbeat_seconds"] = content.get(OPAMP, {}).get("heartbeat_seconds")
    values["opamp_keep_credentials"] = content.get(OPAMP, {}).get("keep_credentials", True)
    others = content.get("other_connections", {})
    values["other_connections"] = json.dumps(others, indent=2, ensure_ascii=False) if others else ""
    return values


def content_typed(values: Mapping[str, Any], shown: Content) -> Content:
    """The content that the fields say, on top of what is shown; a section without an endpoint is left out."""
    made: Content = {}
    for section in SECTIONS:
        endpoint = (values.get(f"{section}_endpoint") or "").strip()
        if not endpoint:
            continue
        member = copy.deepcopy(shown.get(section, {}))
        member["endpoint"] = endpoint
        member["headers"] = headers_typed(values.get(f"{section}_headers") or "")
        member["tls"] = _tls_typed(
            values.get(f"{section}_verify") or "", values.get(f"{section}_ca_pem") or "", member.get("tls", {})
        )
        proxy = (values.get(f"{section}_proxy") or "").strip()
        member.pop("proxy", None) if not proxy else member.update(proxy={**member.get("proxy", {}), "url": proxy})
        made[section] = member
    if OPAMP in made:
        made[OPAMP]["heartbeat_seconds"] = values.get("opamp_heartbeat_seconds")
        made[OPAMP]["keep_credentials"] = bool(values.get("opamp_keep_credentials"))
    if others := values.get("other_connections"):
        made["other_connections"] = others
    return made


def form_field_of(path: str, fields: Mapping[str, Any]) -> str | None:
    """The field of the form that a path such as ``content.opamp.headers.X`` is about; ``None`` for the whole form."""
    parts = path.split(".")
    if parts[0] != "content" or len(parts) < 2:
        return path if path in fields else None
    if parts[1] == "other_connections":
        return "other_connections"
    names = {"endpoint": "endpoint", "headers": "headers", "proxy": "proxy", "heartbeat_seconds": "heartbeat_seconds"}
    rest = parts[2] if len(parts) > 2 else "endpoint"
    if rest == "tls":
        rest = "ca_pem" if "ca_pem_contents" in parts else "verify"
    name = f"{parts[1]}_{names.get(rest, rest)}"
    return name if name in fields else None


def _verification(tls: Mapping[str, Any]) -> str:
    if tls.get("insecure_skip_verify"):
        return NOT_AT_ALL
    if tls.get("ca_pem_contents") and not tls.get("include_system_ca_certs_pool"):
        return BY_CA
    return BY_SYSTEM if tls.get("include_system_ca_certs_pool") else ""


def _tls_typed(verify: str, ca_pem: str, former: Mapping[str, Any]) -> dict[str, Any]:
    tls = {
        name: value
        for name, value in former.items()
        if name not in ("ca_pem_contents", "include_system_ca_certs_pool", "insecure_skip_verify")
    }
    if ca_pem.strip():
        tls["ca_pem_contents"] = ca_pem.replace("\r\n", "\n").strip() + "\n"
    if verify == BY_SYSTEM:
        tls["include_system_ca_certs_pool"] = True
    elif verify == NOT_AT_ALL:
        tls["insecure_skip_verify"] = True
    return tls
