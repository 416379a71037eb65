"""The page of codes has what the code has. ``python -m tests.docs.test_codes`` writes it."""

from __future__ import annotations

from collections.abc import Iterator

from rest_framework.exceptions import APIException, ValidationError

from tests.live_server import ROOT
from tests.opamp_platform.test_translations import literal, messages, text_of

PAGE = ROOT / "docs" / "codes.md"
HEAD = """# Codes of problems and findings

Each problem of the REST API, and each finding in a configuration, has a `code` beside its text. The text is in the language of
the request and may be worded better one day; the code stays. Where a text only adds a place or a suggestion to another, the code is
that of the other. Some of these are parts of texts, or are shown on pages alone.

"""


def framework_codes() -> dict[str, str]:
    """Of errors that the framework, or our own on top of it, raises: code and English text."""
    return {
        str(kind.default_code).replace("_", "-"): str(kind.default_detail)
        for kind in kinds(APIException)
        if not issubclass(kind, ValidationError)
    }


def kinds(kind: type[APIException]) -> Iterator[type[APIException]]:
    for below in kind.__subclasses__():
        if below.__module__.startswith(("rest_framework.exceptions", "configurations.", "opamp_platform.")):
            yield below
        yield from kinds(below)


def page() -> str:
    found = framework_codes()
    for _place, call in messages():
        code, template = literal(call, 0), text_of(call)
        if code is not None and template is not None:
            found[code] = template
    rows = [f"| `{code}` | {cell(text)} |\n" for code, text in sorted(found.items())]
    return HEAD + "| code | text |\n|---|---|\n" + "".join(rows)


def cell(text: str) -> str:
    return text.replace("{{", "{").replace("}}", "}").replace("|", "\\|").replace("*", "\\*").replace("_", "\\_")


def test_every_code_is_on_the_page_and_no_other() -> None:
    import opamp_platform.api.urls  # noqa: F401 (all kinds of errors are known then)

    assert PAGE.read_text(encoding="utf-8") == page(), "python -m tests.docs.test_codes writes it"


if __name__ == "__main__":
    import os

    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "opamp_platform.settings")
    django.setup()
    import opamp_platform.api.urls  # noqa: F401

    PAGE.write_text(page(), encoding="utf-8")
