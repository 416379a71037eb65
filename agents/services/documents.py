"""Large reported values: made of a report, stored once for all agents that report the same.

Whether there is room for them is `quotas`' business.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from agents.models import ReportedDocument
from agents.redaction.known import known_hidden
from agents.reports import Json, StatusReport
from agents.services.batch import ReportingAgent

# Which reference of `ReportedState` holds the document of a member of `StatusReport`.
DOCUMENTS = {"effective_config": "effective_config", "available_components": "components"}
# A document that nobody refers to is kept this long after it was last stored: a report under way may bring it back.
DOCUMENT_GRACE = timedelta(hours=1)


def documents_of(report: StatusReport) -> dict[str, ReportedDocument]:
    """The documents that a report brings whole, by its members' names; unsaved. Values known as secrets are replaced."""
    found: dict[str, ReportedDocument] = {}
    if report.effective_config is not None:
        files = {key: _without_known(file) for key, file in report.effective_config.files.items()}
        found["effective_config"] = _document(ReportedDocument.Kind.EFFECTIVE_CONFIG, files)
    components = report.available_components
    if components is not None and components.components is not None:
        found["available_components"] = _document(ReportedDocument.Kind.COMPONENTS, dict(components.components))
    return found


def changes(entry: ReportingAgent, member: str, document: ReportedDocument) -> bool:
    """True when the agent has another document, or none, at the moment."""
    return bool(getattr(entry.state, f"{DOCUMENTS[member]}_id") != document.hash)


def stored_of(entries: Iterable[ReportingAgent]) -> dict[str, datetime]:
    """Those of the documents that entries bring anew which the database has, by hash, with their dates of storing."""
    brought = {
        document.hash
        for entry in entries
        for member, document in entry.documents.items()
        if changes(entry, member, document)
    }
    if not brought:
        return {}
    return dict(ReportedDocument.objects.filter(hash__in=brought).values_list("hash", "stored_at"))


def store_documents(recorded: Iterable[ReportingAgent], stored: Mapping[str, datetime], at: datetime) -> None:
    """Insert the documents this batch brought and the database lacks, in key order so that batches cannot deadlock.

    ``stored`` is what `stored_of` found at the beginning of the transaction.
    """
    documents: dict[str, ReportedDocument] = {}
    for entry in recorded:
        for member, reference in DOCUMENTS.items():
            document = entry.documents.get(member)
            # Only what was merged, which what there is no room for was not.
            if document is not None and entry.state_changed(reference) and not changes(entry, member, document):
                document = documents.setdefault(document.hash, document)
                if document.reported_by is None:
                    document.reported_by = entry.agent.pk
    if documents:
        # One that nobody referred to for long may be pruned at this moment: its date of storing says it is wanted again.
        # Touched first, stored second, so that one pruned in between is there in the end.
        before = at - DOCUMENT_GRACE / 2
        for key in sorted(key for key in documents if key in stored and stored[key] < before):
            ReportedDocument.objects.filter(hash=key, stored_at__lt=before).update(stored_at=at)
        ReportedDocument.objects.bulk_create(
            [documents[key] for key in sorted(documents)], ignore_conflicts=True, batch_size=100
        )


def _without_known(file: Mapping[str, Json]) -> dict[str, Json]:
    kept = dict(file)
    if isinstance(body := kept.get("body"), str):
        kept["body"] = known_hidden(body)
    return kept


def _document(kind: ReportedDocument.Kind, content: Mapping[str, Json]) -> ReportedDocument:
    """The hash is SHA-256 (hex) of kind and canonical JSON: sorted keys, no spaces."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    digest = hashlib.sha256(f"{kind}\n".encode() + canonical).hexdigest()
    return ReportedDocument(hash=digest, kind=kind, content=content, size=len(canonical))
