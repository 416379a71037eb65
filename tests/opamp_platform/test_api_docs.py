"""The documents of the REST API and the API itself name the same endpoints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = sorted((Path(__file__).resolve().parents[2] / "docs").glob("api*.md"))

pytestmark = pytest.mark.django_db


def test_every_endpoint_is_documented_with_an_example_and_no_other_one(api_of, alice):
    paths = api_of(alice).get("/api/v1/schema?format=json").json()["paths"]
    offered = {
        f"{method.upper()} {path.removeprefix('/api/v1')}" for path, methods in paths.items() for method in methods
    }
    documented: dict[str, str] = {}
    for document in DOCS:
        text = document.read_text(encoding="utf-8")
        parts = re.split(r"^`((?:GET|POST|PUT|PATCH|DELETE) \S+)`", text, flags=re.MULTILINE)
        documented |= dict(zip(parts[1::2], parts[2::2], strict=True))
    assert set(documented) == offered
    for endpoint, text in documented.items():
        method, _, path = endpoint.partition(" ")
        example = text.partition("```sh\n")[2].partition("```")[0]
        url = re.escape(path).replace(r"\{instance_uid\}", r"\$UID[12]").replace(r"\{name\}", "[a-z-]+")
        url = url.replace(r"\{number\}", "[0-9]+").replace(r"\{id\}", r"\$[A-Z]+").replace(r"\{file_id\}", r"\$[A-Z]+")
        assert re.search(rf'"\$API{url}(?:\?[^"]*)?"', example), endpoint
        assert (f"-X {method} " in example) is (method != "GET"), endpoint


def test_the_documented_limits_are_the_real_ones(api_of, alice, settings):
    text = "".join(document.read_text(encoding="utf-8") for document in DOCS)
    assert f"{settings.DATA_UPLOAD_MAX_MEMORY_SIZE // 1024**2} MiB" in text
    parameters = api_of(alice).get("/api/v1/schema?format=json").json()["paths"]["/api/v1/agents"]["get"]["parameters"]
    for parameter in parameters:
        assert re.search(rf"`\??{parameter['name']}=?`", text), parameter["name"]
