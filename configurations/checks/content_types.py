"""Content types of configuration files: short names, MIME shape, and which of them are YAML or JSON."""

from __future__ import annotations

import re

from foundation.errors import DomainError
from foundation.messages import Message

_ALIASES = {"yaml": "text/yaml", "yml": "text/yaml", "json": "application/json", "toml": "application/toml"}
_YAML = frozenset({"text/yaml", "text/x-yaml", "application/yaml", "application/x-yaml"})
_JSON = frozenset({"application/json", "text/json"})

_TOML = frozenset({"application/toml", "text/toml", "text/x-toml"})

_MAX_LENGTH = 255
# RFC 6838 section 4.2 names and RFC 9110 section 5.6.6 parameters.
_NAME = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
_TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"  # noqa: S105 (a grammar token)
_MIME = re.compile(rf'{_NAME}/{_NAME}(?:[ \t]*;[ \t]*{_TOKEN}=(?:{_TOKEN}|"[^"\\\x00-\x1f\x7f]*"))*')


class InvalidContentType(DomainError):
    """Neither a known short name nor a MIME type."""

    def __init__(self) -> None:
        super().__init__(
            Message(
                "invalid-content-type", "Use yaml, json, toml or a MIME type such as text/yaml or application/json."
            )
        )


def normalise_content_type(content_type: str) -> str:
    """The MIME type to send: ``yaml`` is ``text/yaml``, ``json`` is ``application/json``, a MIME type is itself.

    Type names are lower-cased (RFC 9110 section 8.3.1), parameters kept. Anything else raises `InvalidContentType`.
    """
    text = content_type.strip()
    if alias := _ALIASES.get(text.lower()):
        return alias
    if len(text) > _MAX_LENGTH or not _MIME.fullmatch(text):
        raise InvalidContentType
    name, separator, parameters = text.partition(";")
    return name.strip().lower() + separator + parameters


def is_yaml(content_type: str) -> bool:
    """Whether files of this type, alias or MIME type, are YAML."""
    name = _type_name(content_type)
    return name in _YAML or name.endswith("+yaml")


def is_json(content_type: str) -> bool:
    """Whether files of this type, alias or MIME type, are JSON."""
    name = _type_name(content_type)
    return name in _JSON or name.endswith("+json")


def is_toml(content_type: str) -> bool:
    """Whether files of this type, alias or MIME type, are TOML."""
    return _type_name(content_type) in _TOML


def _type_name(content_type: str) -> str:
    name = content_type.partition(";")[0].strip().lower()
    return _ALIASES.get(name, name)
