"""The OpenAPI document and its page: for people and programs that are signed in, under the portal's strict CSP."""

from __future__ import annotations

from typing import Any

from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.permissions import IsAuthenticated
from rest_framework.views import APIView

from opamp_platform.api.problems import PROBLEM_TYPE

_PROBLEM = "Problem"
_REFERENCE = {"$ref": f"#/components/schemas/{_PROBLEM}"}
_PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "RFC 9457 problem details.",
    "required": ["type", "title", "status", "code", "detail", "errors"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {
            "type": "string",
            "description": "What went wrong, for programs: stable, and the same in every language.",
        },
        "detail": {"type": "string"},
        "errors": {
            "type": "object",
            "additionalProperties": {},
            "description": 'Messages by field; `""` is the whole body.',
        },
        "findings": {
            "type": "array",
            "items": {"type": "object", "additionalProperties": {}},
            "description": "Mistakes in configuration texts, with line and column.",
        },
    },
}


class SchemaView(SpectacularAPIView):
    """The OpenAPI document, YAML unless JSON is asked for."""

    permission_classes = [IsAuthenticated]
    authentication_classes = APIView.authentication_classes


class DocsView(SpectacularSwaggerSplitView):
    """Swagger UI from our own static files, its script in a request of its own."""

    permission_classes = [IsAuthenticated]
    authentication_classes = APIView.authentication_classes


def complete(result: dict[str, Any], **_kwargs: Any) -> dict[str, Any]:
    """drf-spectacular's hook: paths as the contract writes them, every operation's problems, bodies without extras."""
    result["paths"] = {path.rstrip("/"): operations for path, operations in result["paths"].items()}
    schemas = result["components"]["schemas"]
    schemas[_PROBLEM] = _PROBLEM_SCHEMA
    for path, operations in result["paths"].items():
        for operation in operations.values():
            for status in _statuses(path, operation):
                operation["responses"].setdefault(
                    str(status), {"content": {PROBLEM_TYPE: {"schema": _REFERENCE}}, "description": "Problem"}
                )
            _close(operation.get("requestBody", {}), schemas)
    return result


def _statuses(path: str, operation: dict[str, Any]) -> list[int]:
    """The problems an operation can answer with."""
    statuses = [400, 401, 403, 406, 503]
    queries = {parameter["name"] for parameter in operation.get("parameters", ()) if parameter["in"] == "query"}
    if "{" in path or queries & {"page", "format"}:
        statuses.append(404)
    if "requestBody" in operation:
        statuses += [413, 415]
    if (
        not operation["operationId"].endswith(("_list", "_retrieve"))
        or operation["operationId"] == "variables_retrieve"
    ):
        # Reading meets a conflict where one name may mean several values.
        statuses.append(409)
    if operation["operationId"].startswith("configurations_adopt"):
        # What it is about is named in the query or the body, and may be nothing that can be kept.
        statuses += [404, 422]
    if operation["operationId"] == "jobs_file":
        statuses.append(410)
    if any(parameter["name"] == "If-Match" for parameter in operation.get("parameters", ())):
        statuses.append(412)
    return statuses


def _close(node: Any, schemas: dict[str, Any]) -> None:
    """Bodies take only the members they declare."""
    if isinstance(node, list):
        for part in node:
            _close(part, schemas)
    elif isinstance(node, dict):
        reference = node.get("$ref")
        if reference:
            _close(schemas[reference.rpartition("/")[2]], schemas)
        if "properties" in node and "additionalProperties" not in node:
            node["additionalProperties"] = False
        for part in node.values():
            _close(part, schemas)
