"""Where agents fetch files: signed, expiring addresses of ours, presigned ones of the bucket, or somebody else's."""

from __future__ import annotations

from django.conf import settings
from django.core import signing
from django.urls import reverse

from packages.models import Artefact
from packages.services import store
from packages.signatures import signature_of


def download_url(artefact: Artefact, *, reached_at: str) -> str:
    """The whole address; empty when no address of this portal is known. ``reached_at`` as in `Lease`."""
    if artefact.url:
        return artefact.url
    if settings.PACKAGE_DOWNLOADS == "store" and (presigned := store.presigned_url(artefact.key)):
        return presigned
    base = settings.PUBLIC_URL or reached_at
    if not base:
        return ""
    token = signing.TimestampSigner(salt="packages.download", sep=".").sign(str(artefact.pk))
    return base + reverse("package-download", args=[token, artefact.filename])


def artefact_id(token: str) -> int:
    """The key of the file that ``token`` opens. Raises `django.core.signing.BadSignature`, also for an expired one."""
    signer = signing.TimestampSigner(salt="packages.download", sep=".")
    return int(signer.unsign(token, max_age=settings.PACKAGE_URL_SECONDS))


def signature_bytes(artefact: Artefact) -> bytes:
    """The signature as it travels: opaque to us and to OpAMP (S-92)."""
    return signature_of(artefact.signature) or b""
