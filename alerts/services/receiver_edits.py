"""What people do with receivers: make, change, delete, try. Addresses and secrets go in and never come out."""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction

from accounts import services as accounts
from accounts.models import User
from agents.shown import value_shown
from alerts.channels import attempt
from alerts.channels.destination import ReceiverAddress
from alerts.errors import CannotDeliver, InvalidAlerting
from alerts.models import Receiver
from alerts.notices import Notice
from alerts.plain_texts import name_problem
from alerts.posting import checked_url
from alerts.services.at_the_same_time import one_of_a_name
from alerts.services.editions import must_be_edition
from foundation.messages import Message
from variables.encryption import Unreadable, decrypted, encrypted

MOST_RECEIVERS = 100
MOST_RECIPIENTS = 50
LONGEST_SECRET = 500
_LONGEST_EMAIL = 254
FIELDS = ("name", "kind", "enabled", "is_default", "least_severity", "language", "recipients")
# Written and never read.
WRITE_ONLY = ("address", "secret")
# What receivers of a kind have no use for.
_NOT_OF: dict[Receiver.Kind, tuple[str, ...]] = {
    Receiver.Kind.EMAIL: ("address", "secret"),
    Receiver.Kind.SLACK: ("recipients", "secret"),
    Receiver.Kind.WEBHOOK: ("recipients",),
    Receiver.Kind.ALERTMANAGER: ("recipients",),
}
_SECRET = re.compile(r"[\x21-\x7e]*")


@dataclass(frozen=True, slots=True)
class TriedReceiver:
    """What came of a test notice: ``problem`` is ``None`` when the receiver took it."""

    problem: Message | None
    status: int | None


@transaction.atomic
def create_receiver(values: Mapping[str, Any], *, by: User | None, at: datetime) -> Receiver:
    """Make one; ``values`` are columns, ``address`` and ``secret``. Raises `InvalidAlerting`."""
    row = Receiver(created_at=at, updated_at=at, **{name: values[name] for name in FIELDS if name in values})
    _put_in(row, values)
    if Receiver.objects.count() >= MOST_RECEIVERS:
        said = Message("too-many-receivers", "At most {most} receivers.", most=MOST_RECEIVERS)
        raise InvalidAlerting({"name": [said]})
    with one_of_a_name():
        row.save(force_insert=True)
    data = {"kind": row.kind, "address": row.address_shown, "recipients": row.recipients}
    accounts.record(by=by, verb="receiver.create", target=row, name=row.name, data=data)
    return row


@transaction.atomic
def update_receiver(
    key: int, values: Mapping[str, Any], *, by: User | None, at: datetime, editions: Collection[int] | None = None
) -> Receiver:
    """Change columns; an address or a secret that is left out stays, an empty secret is none.

    A new address without the secret being sent again takes the secret away, so that nobody has it sent to themselves.
    Raises `Receiver.DoesNotExist`, `InvalidAlerting`, `ChangedMeanwhile`.
    """
    row: Receiver = Receiver.objects.select_for_update().get(pk=key)
    must_be_edition(row, editions)
    if values.get("kind", row.kind) != row.kind:
        raise InvalidAlerting({"kind": [Message("receiver-kind-fixed", "The kind stays: make another receiver.")]})
    before = {name: getattr(row, name) for name in (*FIELDS, "address_shown")}
    address, secret = row.encrypted_address, row.encrypted_secret
    for name in FIELDS:
        if name in values:
            setattr(row, name, values[name])
    _put_in(row, values)
    changed = {name: [was, getattr(row, name)] for name, was in before.items() if was != getattr(row, name)}
    data: dict[str, Any] = {"changed": {name: value_shown(pair) for name, pair in changed.items()}}
    # That they were changed is told, and nothing of what they were.
    data |= {"new_address": True} if row.encrypted_address != address else {}
    data |= {"new_secret": True} if row.encrypted_secret != secret else {}
    if data == {"changed": {}}:
        return row
    row.edition += 1
    row.updated_at = at
    with one_of_a_name():
        row.save()
    accounts.record(by=by, verb="receiver.update", target=row, name=row.name, data=data)
    return row


@transaction.atomic
def delete_receiver(row: Receiver, *, by: User | None) -> None:
    """Delete it with its deliveries; rules that had it alone tell the default receivers."""
    if not Receiver.objects.filter(pk=row.pk).update(enabled=False):
        # Somebody else has deleted it.
        return
    accounts.record(by=by, verb="receiver.delete", target=row, name=row.name)
    row.delete()


def try_receiver(row: Receiver, *, by: User | None, at: datetime) -> TriedReceiver:
    """Send a test notice at once, outside of any transaction, and say what came of it."""
    message = Message("alert-test", "This is a test: nothing is wrong.")
    notice = Notice(
        event="test", alert_id=0, rule="Test", kind="test", severity="info", state="resolved", group="", labels={},
        message=message.as_json(), count=0, total=None, sample=[], description="",
        started_at=at.isoformat(timespec="seconds"), fired_at=None, resolved_at=None, repeat_seconds=0,
    )  # fmt: skip
    try:
        tried = TriedReceiver(None, attempt(row.kind, receiver_address(row, uuid.uuid4(), at), notice))
    except CannotDeliver as error:
        tried = TriedReceiver(error.message, error.status)
    data = {"accepted": tried.problem is None, "status": tried.status, "problem": str(tried.problem or "")}
    accounts.record(by=by, verb="receiver.test", target=row, name=row.name, data=data)
    return tried


def receiver_address(row: Receiver, key: uuid.UUID, at: datetime) -> ReceiverAddress:
    """What its channel needs. Raises `CannotDeliver` when what is stored cannot be read."""
    try:
        address = decrypted(row.encrypted_address) if row.encrypted_address else ""
        secret = decrypted(row.encrypted_secret) if row.encrypted_secret else ""
    except Unreadable:
        said = Message(
            "receiver-unreadable",
            "Its address or secret was encrypted with a key that is not among SECRETS_KEYS: write it once more.",
        )
        raise CannotDeliver(said, lasting=True) from None
    return ReceiverAddress(address, secret, row.recipients, row.language, key, at)


def _put_in(row: Receiver, values: Mapping[str, Any]) -> None:
    """Take ``address`` and ``secret``, and check everything. Raises `InvalidAlerting`."""
    errors: dict[str, list[Any]] = {}
    try:
        row.clean_fields(exclude=["recipients"])
        row.validate_unique()
    except ValidationError as error:
        errors |= {name: list(texts) for name, texts in error.message_dict.items()}
    if unfit := name_problem(row.name):
        errors.setdefault("name", []).append(unfit)
    if row.language not in dict(settings.LANGUAGES):
        known = ", ".join(dict(settings.LANGUAGES))
        errors["language"] = [Message("alerting-one-of", "One of {known}.", known=known)]
    kind = Receiver.Kind(row.kind) if row.kind in Receiver.Kind.values else Receiver.Kind.WEBHOOK
    for name in _NOT_OF[kind]:
        if values.get(name):
            errors[name] = [Message("receiver-has-none", "Receivers of this kind have none: leave it out.")]
    if row.kind == Receiver.Kind.EMAIL:
        errors |= _recipient_problems(row)
        row.encrypted_address = row.encrypted_secret = ""
        row.address_shown = ", ".join(map(str, row.recipients))[:300] if not errors else ""
    else:
        row.recipients = []
        errors |= _take_address(row, values)
    if errors:
        raise InvalidAlerting(errors)


def _take_address(row: Receiver, values: Mapping[str, Any]) -> dict[str, list[Message]]:
    address, secret = values.get("address") or "", values.get("secret")
    errors: dict[str, list[Message]] = {}
    if address and address != _stored(row.encrypted_address):
        try:
            parts = checked_url(address)
        except CannotDeliver as error:
            return {"address": [error.message]}
        row.encrypted_address = encrypted(address)
        port = f":{parts.port}" if parts.port else ""
        host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
        row.address_shown = f"{parts.scheme}://{host}{port}/…"[:300]
        row.encrypted_secret = ""
    elif not row.encrypted_address:
        errors["address"] = [Message("receiver-address-missing", "Write the address that is called.")]
    if secret is not None and secret != _stored(row.encrypted_secret):
        if len(secret) > LONGEST_SECRET or not _SECRET.fullmatch(secret):
            said = Message(
                "receiver-secret", "At most {most} letters, digits and signs, without blanks.", most=LONGEST_SECRET
            )
            errors["secret"] = [said]
        else:
            row.encrypted_secret = encrypted(secret) if secret else ""
    return errors


def _stored(token: str) -> str:
    try:
        return decrypted(token) if token else ""
    except Unreadable:
        return ""


def _is_email(text: Any) -> bool:
    try:
        validate_email(text)
    except (ValidationError, TypeError):
        return False
    return isinstance(text, str) and len(text) <= _LONGEST_EMAIL


def _recipient_problems(row: Receiver) -> dict[str, list[Message]]:
    given = row.recipients
    if not isinstance(given, list) or not 1 <= len(given) <= MOST_RECIPIENTS:
        said = Message("receiver-recipients", "A list of 1 to {most} e-mail addresses.", most=MOST_RECIPIENTS)
        return {"recipients": [said]}
    for text in given:
        if not _is_email(text):
            said = Message("receiver-no-email", "{text} is no e-mail address.", text=str(text)[:100])
            return {"recipients": [said]}
    row.recipients = list(dict.fromkeys(given))
    return {}
