"""The content of connection settings: from the JSON that people write to what is stored. Pure; says all that is wrong at once.

``{"opamp": …, "own_metrics": …, "own_traces": …, "own_logs": …, "other_connections": {name: …}}``; each member has an endpoint,
headers, TLS options and a proxy.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from connections import destinations
from connections.destinations import Wrong
from foundation.messages import Message

OPAMP = "opamp"
TELEMETRY = ("own_metrics", "own_traces", "own_logs")
MEMBERS = (OPAMP, *TELEMETRY, "other_connections")
LONGEST_HEARTBEAT = 86_400
MOST_OTHERS = 50
MOST_SETTINGS = 100
MOST_SUITES = 64
MOST_CHARACTERS = 262_144
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._/ -]{0,98}[A-Za-z0-9])?")
_SETTING = re.compile(r"[\x21-\x7e]{1,200}")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_READ_OTHERWISE = re.compile(r"[\"\\]|\$[{$]")

Content = dict[str, Any]
Errors = dict[str, list[Message]]


def read_content(given: Any, *, default_heartbeat: int) -> tuple[Content, Errors]:
    """What is stored, and what is wrong by path; the first is whole only where nothing is wrong."""
    reader = _Reader()
    members = reader.object_at("content", given, MEMBERS)
    content: Content = {}
    for name in MEMBERS:
        member = members.get(name)
        if member is None:
            continue
        path = f"content.{name}"
        if name == "opamp":
            content[name] = reader.opamp(path, member, default_heartbeat)
        elif name == "other_connections":
            content |= {name: found} if (found := reader.others(path, member)) else {}
        else:
            content[name] = reader.telemetry(path, member)
    if not content and not reader.errors:
        reader.tell("content", Message("nothing-to-tell-agents", "Name at least one connection."))
    return content, reader.errors


def warnings_of(content: Content, at: datetime) -> list[Message]:
    """What can be saved and should be looked at once more, ``at`` this time."""
    found: list[Message] = []
    for path, member in members_of(content):
        endpoint = member["endpoint"]
        if path in TELEMETRY and not destinations.is_over_tls(endpoint):
            found.append(Message("telemetry-unencrypted", "{place}: https is recommended, this is http.", place=path))
        elif member.get("headers") and endpoint.lower().startswith(("ws:", "http:")):
            found.append(Message("headers-unencrypted", "{place}: headers go out unencrypted.", place=path))
        if member.get("tls", {}).get("insecure_skip_verify"):
            found.append(
                Message("verification-off", "{place}: agents do not verify whom they are connected to.", place=path)
            )
        for name, pem in _certificates_of(member):
            if not destinations.are_in_their_time(pem, at):
                found.append(
                    Message(
                        "certificate-out-of-time",
                        "{place}: a certificate in {name} has expired, or is not good yet.",
                        place=path,
                        name=name,
                    )
                )
    return found


def _certificates_of(member: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for part in ("tls", "certificate"):
        texts = member.get(part, {})
        yield from ((name, texts[name]) for name in ("ca_pem_contents", "cert", "ca_cert") if texts.get(name))


def members_of(content: Content) -> list[tuple[str, dict[str, Any]]]:
    """Each member with its name; of other connections ``other_connections.<name>``."""
    single = [(name, content[name]) for name in MEMBERS if name != "other_connections" and name in content]
    others = content.get("other_connections", {})
    return single + [(f"other_connections.{name}", others[name]) for name in sorted(others)]


class _Reader:
    def __init__(self) -> None:
        self.errors: Errors = {}

    def tell(self, path: str, message: Message) -> None:
        if len(self.errors) < 50:
            self.errors.setdefault(path[:200], []).append(message)

    def object_at(self, path: str, given: Any, names: tuple[str, ...] | None = None) -> dict[str, Any]:
        """The members of a JSON object; unknown ones are told, as is anything else."""
        if not isinstance(given, Mapping):
            self.tell(
                path, Message("not-an-object", "Write an object with these members: {known}.", known=_listed(names))
            )
            return {}
        for name in given:
            if names is not None and name not in names:
                self.tell(f"{path}.{name}", Message("unknown-member", "Known here: {known}.", known=_listed(names)))
        return {str(name): value for name, value in given.items() if names is None or name in names}

    def opamp(self, path: str, given: Any, default_heartbeat: int) -> dict[str, Any]:
        names = ("endpoint", "heartbeat_seconds", "headers", "keep_credentials", "tls", "proxy")
        members = self.object_at(path, given, names)
        made = self._common(path, members, destinations.opamp_endpoint)
        seconds = members.get("heartbeat_seconds")
        seconds = default_heartbeat if seconds is None else seconds
        if isinstance(seconds, bool) or not isinstance(seconds, int) or not 1 <= seconds <= LONGEST_HEARTBEAT:
            self.tell(
                f"{path}.heartbeat_seconds",
                Message("heartbeat-seconds", "Write whole seconds from 1 to {most}.", most=LONGEST_HEARTBEAT),
            )
        made["heartbeat_seconds"] = seconds
        made["keep_credentials"] = self._flag(f"{path}.keep_credentials", members.get("keep_credentials", True))
        tls = made.get("tls", {})
        known = tls.get("ca_pem_contents") or tls.get("include_system_ca_certs_pool") or tls.get("insecure_skip_verify")
        if destinations.is_over_tls(made["endpoint"]) and not known:
            self.tell(
                f"{path}.tls",
                Message(
                    "verification-undecided",
                    "Say how agents verify the server: by ca_pem_contents, include_system_ca_certs_pool or "
                    "insecure_skip_verify. Supervisors that are told nothing verify nothing.",
                ),
            )
        return made

    def destination(self, path: str, given: Any, endpoint: Callable[[str], str], *more: str) -> dict[str, Any]:
        members = self.object_at(path, given, ("endpoint", "headers", "certificate", "tls", "proxy", *more))
        made = self._common(path, members, endpoint)
        if (pair := members.get("certificate")) is not None:
            made["certificate"] = self._key_pair(f"{path}.certificate", pair)
        if "other_settings" in more and members.get("other_settings"):
            made["other_settings"] = self._other_settings(f"{path}.other_settings", members["other_settings"])
        return made

    def telemetry(self, path: str, given: Any) -> dict[str, Any]:
        """Supervisors write endpoint and headers into YAML as they are, and begin no more with one that cannot be read."""
        made = self.destination(path, given, destinations.telemetry_endpoint)
        written = {f"{path}.endpoint": made["endpoint"]}
        written |= {f"{path}.headers.{name}": value for name, value in made.get("headers", {}).items()}
        for place, text in written.items():
            if _READ_OTHERWISE.search(text):
                self.tell(
                    place,
                    Message(
                        "read-otherwise",
                        "Supervisors read this otherwise, or begin no more: leave out quotation marks, backslashes, ${{ and $$.",
                    ),
                )
        return made

    def others(self, path: str, given: Any) -> dict[str, Any]:
        found = self.object_at(path, given)
        if len(found) > MOST_OTHERS:
            self.tell(path, Message("too-many-connections", "At most {most} connections.", most=MOST_OTHERS))
            return {}
        made = {}
        for name, member in found.items():
            if not _NAME.fullmatch(name):
                self.tell(
                    f"{path}.{name[:100]}",
                    Message("connection-name", "Use letters, digits and . _ / - in names, at most 100 characters."),
                )
            made[name] = self.destination(f"{path}.{name[:100]}", member, destinations.other_endpoint, "other_settings")
        return made

    def _common(self, path: str, members: dict[str, Any], endpoint: Callable[[str], str]) -> dict[str, Any]:
        made: dict[str, Any] = {"endpoint": self._text(f"{path}.endpoint", members.get("endpoint"), endpoint)}
        if members.get("headers"):
            made["headers"] = self._headers(f"{path}.headers", members["headers"])
        if members.get("tls") is not None and (tls := self._tls(f"{path}.tls", members["tls"])):
            made["tls"] = tls
        if members.get("proxy") is not None:
            proxy = self.object_at(f"{path}.proxy", members["proxy"], ("url", "connect_headers"))
            made["proxy"] = {"url": self._text(f"{path}.proxy.url", proxy.get("url"), destinations.proxy_address)}
            if proxy.get("connect_headers"):
                made["proxy"]["connect_headers"] = self._headers(
                    f"{path}.proxy.connect_headers", proxy["connect_headers"]
                )
        return made

    def _text(self, path: str, given: Any, check: Callable[[str], str]) -> str:
        if not isinstance(given, str) or not given:
            self.tell(path, Message("text-needed", "Write a text that is not empty."))
            return ""
        try:
            return check(given)
        except Wrong as error:
            self.tell(path, error.message)
            return ""

    def _flag(self, path: str, given: Any) -> bool:
        if not isinstance(given, bool):
            self.tell(path, Message("true-or-false", "Write true or false."))
            return False
        return given

    def _texts(self, path: str, given: Any, most: int) -> dict[str, str]:
        found = self.object_at(path, given)
        if len(found) > most:
            self.tell(path, Message("too-many-entries", "At most {most} of them.", most=most))
            return {}
        for name, value in found.items():
            if not isinstance(value, str):
                self.tell(f"{path}.{name[:80]}", Message("text-expected", "Write a text."))
        return {name: value for name, value in found.items() if isinstance(value, str)}

    def _headers(self, path: str, given: Any) -> dict[str, str]:
        headers = self._texts(path, given, destinations.MOST_HEADERS)
        for name, problem in destinations.header_problems(headers).items():
            self.tell(f"{path}.{name}", problem)
        return headers

    def _other_settings(self, path: str, given: Any) -> dict[str, str]:
        found = self._texts(path, given, MOST_SETTINGS)
        for name, value in found.items():
            if not _SETTING.fullmatch(name) or len(value) > destinations.LONGEST_VALUE or _CONTROL.search(value):
                self.tell(
                    f"{path}.{name[:80]}",
                    Message(
                        "other-setting",
                        "Names have at most 200 characters and no spaces, values at most {most} and no control characters.",
                        most=destinations.LONGEST_VALUE,
                    ),
                )
        return found

    def _tls(self, path: str, given: Any) -> dict[str, Any]:
        flags = ("include_system_ca_certs_pool", "insecure_skip_verify")
        names = ("ca_pem_contents", *flags, "min_version", "max_version", "cipher_suites")
        members = self.object_at(path, given, names)
        made: dict[str, Any] = {}
        if members.get("ca_pem_contents"):
            made["ca_pem_contents"] = self._pem(f"{path}.ca_pem_contents", members["ca_pem_contents"])
        for name in flags:
            if name in members and self._flag(f"{path}.{name}", members[name]):
                made[name] = True
        for name in ("min_version", "max_version"):
            if members.get(name):
                made[name] = self._text(f"{path}.{name}", members[name], destinations.tls_version)
        if made.get("min_version", "") > made.get("max_version", "9"):
            self.tell(f"{path}.max_version", Message("tls-versions", "It is below the least version."))
        suites = members.get("cipher_suites") or []
        if not isinstance(suites, list) or len(suites) > MOST_SUITES:
            self.tell(
                f"{path}.cipher_suites",
                Message("cipher-suites", "Write a list of at most {most} names.", most=MOST_SUITES),
            )
        elif suites:
            made["cipher_suites"] = [
                self._text(f"{path}.cipher_suites", suite, destinations.cipher_suite) for suite in suites
            ]
        return made

    def _pem(self, path: str, given: Any) -> str:
        def check(text: str) -> str:
            destinations.pem_certificates(text)
            return text

        return self._text(path, given, check)

    def _key_pair(self, path: str, given: Any) -> dict[str, str]:
        members = self.object_at(path, given, ("cert", "private_key", "ca_cert"))
        made = {"cert": self._pem(f"{path}.cert", members.get("cert"))}
        if members.get("ca_cert"):
            made["ca_cert"] = self._pem(f"{path}.ca_cert", members["ca_cert"])

        def check(text: str) -> str:
            if made["cert"]:
                destinations.check_key(text, destinations.pem_certificates(made["cert"])[0])
            return text

        made["private_key"] = self._text(f"{path}.private_key", members.get("private_key"), check)
        return made


def _listed(names: tuple[str, ...] | None) -> str:
    return ", ".join(names or ("name",))
