"""What a browser would post of a page: the fields of the forms in it, with their values, and line breaks as CR LF."""

from __future__ import annotations

from html.parser import HTMLParser


class _Fields(HTMLParser):
    """Collects the controls; templates are no part of the page, and buttons only count when they are pressed."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: dict[str, str] = {}
        self._templates = 0
        self._area: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        name = given.get("name")
        if tag == "template":
            self._templates += 1
        if self._templates or not name:
            return
        if tag == "textarea":
            self._area, self.found[name] = name, ""
        elif tag == "input" and given.get("type") in ("checkbox", "radio"):
            if "checked" in given:
                self.found[name] = given.get("value") or "on"
        elif tag == "input" and given.get("type") not in ("submit", "button", "file"):
            self.found[name] = given.get("value") or ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "template":
            self._templates -= 1
        elif tag == "textarea":
            self._area = None

    def handle_data(self, data: str) -> None:
        if self._area is not None:
            self.found[self._area] += data


def fields_of(page: str) -> dict[str, str]:
    """Names and values of what ``page`` would post."""
    parser = _Fields()
    parser.feed(page)
    # The first line break of a text area belongs to the markup.
    areas = {name: value.removeprefix("\n") for name, value in parser.found.items()}
    return {name: value.replace("\r\n", "\n").replace("\n", "\r\n") for name, value in areas.items()}
