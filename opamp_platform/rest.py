"""What all REST endpoints share: paging, and every error as problem JSON (RFC 9457), translated here and nowhere else."""

from __future__ import annotations

import io
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.core.exceptions import ObjectDoesNotExist, PermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, JsonResponse
from rest_framework import exceptions
from rest_framework.pagination import PageNumberPagination
from rest_framework.parsers import JSONParser
from rest_framework.response import Response
from rest_framework.views import exception_handler

from agents.labels import InvalidLabels
from agents.selectors import InvalidSelector
from agents.services.commands import CannotBeSent
from agents.services.editing import UnknownAgent
from configurations.checks import Finding
from configurations.services.offers import NothingToRetry
from configurations.services.publishing import InvalidConfiguration, NameTaken, StaleRevision, UnknownRevision

PROBLEM_TYPE = "application/problem+json"


class Pages(PageNumberPagination):
    """``page`` and ``page_size``, at most 500 a page."""

    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 500


def problem(
    status: int,
    detail: str,
    *,
    errors: Mapping[str, Any] | None = None,
    findings: list[dict[str, Any]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """One problem document as a DRF response."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "errors": dict(errors or {}),
    }
    if findings:
        body["findings"] = findings
    return Response(body, status=status, headers=dict(headers or {}), content_type=PROBLEM_TYPE)


def finding_json(finding: Finding) -> dict[str, Any]:
    """A finding as the API says it."""
    return {
        "severity": str(finding.severity),
        "kind": str(finding.kind),
        "message": finding.message,
        "line": finding.line,
        "column": finding.column,
        "path": finding.path,
    }


def problem_response(error: Exception, context: Mapping[str, Any]) -> Response | None:
    """DRF's exception handler: domain errors and framework errors become problems; anything else stays a 500."""
    request = context.get("request")
    by_header = bool(request is not None and request.headers.get("If-Match"))
    match error:
        case NameTaken():
            return problem(409, "The name is taken.", errors=error.errors)
        case InvalidConfiguration():
            findings = [finding_json(item) for item in error.findings]
            return problem(400, "The configuration is not valid.", errors=error.errors, findings=findings)
        case StaleRevision():
            return problem(412 if by_header else 409, str(error), errors={"revision": [str(error)]})
        case InvalidLabels():
            return problem(
                400,
                "The labels are not valid.",
                errors={"operator_labels": {key: [text] for key, text in error.errors}},
            )
        case InvalidSelector():
            place = "" if error.position is None else f" (at character {error.position + 1})"
            return problem(400, f"The selector is not valid{place}.", errors={"label": [str(error)]})
        case CannotBeSent() | NothingToRetry():
            return problem(409, str(error))
        case UnknownAgent() | UnknownRevision() | ObjectDoesNotExist() | Http404():
            return problem(404, "There is nothing of that name here.")
        case OperationalError() | InterfaceError():
            return problem(503, "The database is out of reach; try again later.", headers={"Retry-After": "5"})
        case exceptions.ValidationError():
            return problem(400, "The request is not valid.", errors=_by_field(error.detail))
        case exceptions.APIException() | PermissionDenied():
            return _translated(error, context)
    return None


def _translated(error: Exception, context: Mapping[str, Any]) -> Response | None:
    response = exception_handler(error, dict(context))
    if response is None:
        return None
    detail = response.data.get("detail", "") if isinstance(response.data, dict) else response.data
    headers = {
        name: value for name, value in response.headers.items() if name in {"WWW-Authenticate", "Retry-After", "Allow"}
    }
    return problem(response.status_code, str(detail), headers=headers)


def _by_field(detail: Any) -> dict[str, Any]:
    return detail if isinstance(detail, dict) else {"": detail if isinstance(detail, list) else [detail]}


def no_such_url(_request: HttpRequest, _path: str = "") -> JsonResponse:
    """An unknown API path is a problem too, not an HTML page."""
    body = {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "There is no such API URL.",
        "errors": {},
    }
    return JsonResponse(body, status=404, content_type=PROBLEM_TYPE)


def without_trailing_slash(result: dict[str, Any], **_kwargs: Any) -> dict[str, Any]:
    """The schema names the paths of the contract; routes that allow a slash would show one."""
    result["paths"] = {path.rstrip("/"): operations for path, operations in result["paths"].items()}
    return result


class BoundedJSONParser(JSONParser):
    """JSON of at most `DATA_UPLOAD_MAX_MEMORY_SIZE` bytes, nested no deeper than Python's parser follows."""

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        """Raises `ParseError` (400) for what is no such JSON, 413 for what is too large."""
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        body = stream.read(limit + 1)
        if len(body) > limit:
            raise TooLarge
        try:
            return super().parse(io.BytesIO(body), media_type, parser_context)
        except RecursionError:
            raise exceptions.ParseError("The JSON is nested too deeply.") from None


class TooLarge(exceptions.APIException):
    """The request body is above the limit."""

    status_code = 413
    default_detail = "The request body is too large."
