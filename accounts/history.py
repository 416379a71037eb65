"""What people did to one thing, from the audit trail: for the page of its edits, whichever entry point they came through."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from django.core.exceptions import FieldDoesNotExist
from django.db.models import Model, Q, TextField
from django.db.models.functions import Cast
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import AuditEntry

_VERBS = {
    "agent.edit": gettext_lazy("Edited"),
    "agent.restart": gettext_lazy("Asked to restart"),
    "agent.custom_message": gettext_lazy("Sent a custom message"),
    "agent.assign_uid": gettext_lazy("Assigned a new UID"),
    "agent.revoke_credential": gettext_lazy("Credential revoked"),
    "agent.allow_enrolment": gettext_lazy("Enrolment allowed"),
    "agent.approve": gettext_lazy("Approved"),
    "agent.reject": gettext_lazy("Rejected"),
    "agent.reveal_secrets": gettext_lazy("Secrets shown"),
    "agent.pause": gettext_lazy("Paused"),
    "agent.resume": gettext_lazy("Pause ended"),
    "agent.pin": gettext_lazy("Pinned"),
    "agent.unpin": gettext_lazy("Unpinned"),
    "agent.export": gettext_lazy("Exported"),
    "view.create": gettext_lazy("View saved"),
    "view.edit": gettext_lazy("View edited"),
    "view.delete": gettext_lazy("View deleted"),
    "agent.forget": gettext_lazy("Forgotten"),
    "agent.adopt": gettext_lazy("Configuration adopted"),
    "agent.install_again": gettext_lazy("Packages offered once more"),
    "agent.offer_connection_again": gettext_lazy("Connection settings told once more"),
    "alert.acknowledge": gettext_lazy("Acknowledged"),
    "alert_delivery.retry": gettext_lazy("Sent once more"),
    "alert_rule.create": gettext_lazy("Created"),
    "alert_rule.update": gettext_lazy("Edited"),
    "alert_rule.delete": gettext_lazy("Deleted"),
    "certificate.approve": gettext_lazy("Certificate approved"),
    "certificate.deny": gettext_lazy("Certificate denied"),
    "certificate.revoke": gettext_lazy("Certificate revoked"),
    "certificate.refuse": gettext_lazy("Certificate request refused"),
    "configuration.retry": gettext_lazy("Configuration offered once more"),
    "configuration.create": gettext_lazy("Created"),
    "configuration.update": gettext_lazy("Edited"),
    "configuration.delete": gettext_lazy("Deleted"),
    "connection_settings.create": gettext_lazy("Created"),
    "connection_settings.update": gettext_lazy("Edited"),
    "connection_settings.delete": gettext_lazy("Deleted"),
    "connection_settings.add_version": gettext_lazy("Version added"),
    "connection_settings.release": gettext_lazy("Version released"),
    "connection_settings.move": gettext_lazy("Agents moved"),
    "enrolment_token.issue": gettext_lazy("Enrolment token made"),
    "enrolment_token.revoke": gettext_lazy("Enrolment token revoked"),
    "enrolment_token.refuse": gettext_lazy("Enrolment token refused"),
    "freeze.start": gettext_lazy("Frozen"),
    "freeze.end": gettext_lazy("Freeze ended"),
    "receiver.create": gettext_lazy("Created"),
    "receiver.update": gettext_lazy("Edited"),
    "receiver.delete": gettext_lazy("Deleted"),
    "receiver.test": gettext_lazy("Test notice sent"),
    "rollout.started": gettext_lazy("Started"),
    "rollout.approved": gettext_lazy("Approved"),
    "rollout.stage_began": gettext_lazy("Stage began"),
    "rollout.gate_passed": gettext_lazy("Gate passed"),
    "rollout.gate_failed": gettext_lazy("Gate failed"),
    "rollout.paused": gettext_lazy("Paused"),
    "rollout.resumed": gettext_lazy("Resumed"),
    "rollout.aborted": gettext_lazy("Aborted"),
    "rollout.rolled_back": gettext_lazy("Rolled back"),
    "rollout.replaced": gettext_lazy("Replaced"),
    "rollout.begun_now": gettext_lazy("Begun outside the window"),
    "rollout.completed": gettext_lazy("Completed"),
    # As it was written formerly; the trail stays as it is.
    "rollout.finished": gettext_lazy("Completed"),
    "configuration.restore": gettext_lazy("Restored"),
    "configuration.delete_for_good": gettext_lazy("Deleted for good"),
    "package.create": gettext_lazy("Created"),
    "package.update": gettext_lazy("Edited"),
    "package.delete": gettext_lazy("Deleted"),
    "package.add_version": gettext_lazy("Version added"),
    "package.delete_version": gettext_lazy("Version deleted"),
    "package.add_file": gettext_lazy("File added"),
    "package.delete_file": gettext_lazy("File deleted"),
    "package.release": gettext_lazy("Version released"),
    "variable.create": gettext_lazy("Created"),
    "variable.update": gettext_lazy("Edited"),
    "variable.delete": gettext_lazy("Deleted"),
    "secret.create": gettext_lazy("Created"),
    "secret.update": gettext_lazy("Edited"),
    "secret.delete": gettext_lazy("Deleted"),
    "silence.create": gettext_lazy("Silenced"),
    "silence.end": gettext_lazy("Silence ended"),
    "job.start": gettext_lazy("Started"),
    "job.cancel": gettext_lazy("Cancelled"),
    "job.retry": gettext_lazy("Tried once more"),
    "job.download": gettext_lazy("File downloaded"),
    "draft.save": gettext_lazy("Draft saved"),
    "draft.edit": gettext_lazy("Draft edited"),
    "draft.rebase": gettext_lazy("Draft based on the present state"),
    "draft.discard": gettext_lazy("Draft discarded"),
    "draft.publish": gettext_lazy("Draft published"),
    "user.create": gettext_lazy("Created"),
    "user.edit": gettext_lazy("Edited"),
    "user.preferences": gettext_lazy("Preferences changed"),
    "user.password": gettext_lazy("Password changed"),
    "user.delete": gettext_lazy("Deleted"),
    "role.create": gettext_lazy("Created"),
    "role.edit": gettext_lazy("Edited"),
    "role.delete": gettext_lazy("Deleted"),
    "token.issue": gettext_lazy("Issued"),
    "token.revoke": gettext_lazy("Revoked"),
    "login": gettext_lazy("Signed in"),
    "login.fail": gettext_lazy("Failed to sign in"),
    "logout": gettext_lazy("Signed out"),
}
# What entries name that is no column, or is called otherwise there.
_FIELDS = {
    "set": gettext_lazy("operator labels"),
    "removed": gettext_lazy("operator labels"),
    "operator_labels": gettext_lazy("operator labels"),
    "roles": gettext_lazy("roles"),
    "rights": gettext_lazy("rights"),
    "files_changed": gettext_lazy("files"),
    "note": gettext_lazy("note"),
}
# An entry about an agent names its fields side by side; the parts of an edit of labels are there when they are empty too.
_PARTS = frozenset({"set", "removed"})
_OF_AGENTS = _PARTS | {"custom_name", "notes", "operator_labels"}


class HistoryLine(NamedTuple):
    """Somebody did something: ``said`` in the reader's language. Values are not among it: the trail's readers have a right."""

    at: datetime
    actor: str
    said: str


def acts_on(row: Model, *, most: int) -> list[HistoryLine]:
    """The newest ``most`` acts on ``row``, also those that concerned many at once."""
    key = str(row.pk)
    # An entry about many lists them; both databases store them as text like this, in which quotes of names are escaped.
    among_many = Q(object_id="", listed__contains=f'"id": "{key}"')
    entries = (
        AuditEntry.objects.filter(object_type=row._meta.label_lower, object_id__in=(key, ""))
        .annotate(listed=Cast("data", TextField()))
        .filter(Q(object_id=key) | among_many)
        .order_by("-id")[:most]
    )
    return [HistoryLine(entry.at, entry.actor_name, _said(entry, type(row))) for entry in entries]


def verb_words(verb: str) -> str:
    """What was done, in the reader's language; of a verb that nobody described the verb itself."""
    return str(_VERBS.get(verb, verb))


def _said(entry: AuditEntry, model: type[Model]) -> str:
    done = verb_words(entry.verb)
    if number := entry.data.get("revision"):
        done = _("%(done)s (revision %(number)s)") % {"done": done, "number": number}
    fields = list(dict.fromkeys(capfirst(_word(name, model)) for name in _changed(entry)))
    return _("%(done)s: %(fields)s") % {"done": done, "fields": ", ".join(fields)} if fields else done


def _changed(entry: AuditEntry) -> list[str]:
    """Names of the fields that an edit changed, in an order that does not depend on how a database keeps them."""
    data = entry.data
    if entry.verb == "agent.edit":
        return [name for name in sorted(data) if name in _OF_AGENTS and (data[name] or name not in _PARTS)]
    names = sorted(data["changed"]) if isinstance(data.get("changed"), dict) else []
    return names + [name for name in ("files_changed", "note") if data.get(name)]


def _word(name: str, model: type[Model]) -> str:
    if name in _FIELDS:
        return str(_FIELDS[name])
    try:
        return str(getattr(model._meta.get_field(name), "verbose_name", name))
    except FieldDoesNotExist:
        return name
