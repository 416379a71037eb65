"""Rows about what agents should run: configurations, their immutable revisions, and each agent's assignment."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Self

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Count, Expression, OuterRef, Subquery, Value
from django.db.models.functions import Coalesce, Now
from django.utils.translation import gettext_lazy as _

from agents.models import Agent
from agents.remote_config import ConfigFile, RemoteConfig
from agents.selectors import Selector, parse_selector
from configurations.outcome import AssignmentStatus
from rollouts.models import Release

# What rollouts call the things released here.
RELEASE_SUBJECT = "configuration"

NAME_PATTERN = r"^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?$"


class ConfigurationQuerySet(models.QuerySet["Configuration"]):
    """The vocabulary of reading configurations."""

    def visible_to(self, user: Any) -> Self:
        """What ``user`` may see: all configurations with the view right, else none."""
        return self if user.has_perm("configurations.view_configuration") else self.none()

    def enabled(self) -> Self:
        """Those that take part in matching."""
        return self.filter(enabled=True)

    def wholes(self) -> Self:
        """Those of which each agent gets one at most."""
        return self.filter(kind=Configuration.Kind.WHOLE)

    def fragments(self) -> Self:
        """Those that are added to whatever an agent gets."""
        return self.filter(kind=Configuration.Kind.FRAGMENT)

    def with_matched_agents(self) -> Self:
        """Annotated with how many agents should run each: ``matched_agents``."""
        return self.annotate(matched_agents=_assigned_agents())

    def with_outcomes(self) -> Self:
        """Annotated with how many agents should run each, and how far they are: ``assigned_count``, ``applied_count``…"""
        return self.annotate(
            assigned_count=_assigned_agents(),
            applied_count=_assigned_agents(AssignmentStatus.APPLIED),
            failed_count=_assigned_agents(AssignmentStatus.FAILED),
            waiting_count=_assigned_agents(
                AssignmentStatus.PENDING, AssignmentStatus.OFFERED, AssignmentStatus.APPLYING
            ),
            incapable_count=_assigned_agents(AssignmentStatus.INCAPABLE),
        )


def _assigned_agents(*statuses: AssignmentStatus) -> Expression:
    """How many agents should run a configuration, and have one of ``statuses`` if any are named.

    Counted for each row shown, within the index on configuration and status: a join would read all assignments of all
    configurations.
    """
    found: Expression = Value(0)
    # Of a whole the second is empty, of a fragment the first.
    for path in ("configuration", "composition__parts__configuration"):
        rows = Assignment.objects.filter(**{path: OuterRef("pk")})
        if statuses:
            rows = rows.filter(status__in=[item.value for item in statuses])
        counted = rows.order_by().values(path).annotate(number=Count("*")).values("number")
        found = found + Coalesce(Subquery(counted), 0)
    return found


class Configuration(models.Model):
    """A named configuration and the selector that says which agents should run it.

    ``current`` is the newest revision. ``edition`` counts every edit, also those of names and descriptions, which make no
    revision; concurrent edits are checked against it. Of several wholes that match an agent the highest ``priority`` wins, then
    the name; fragments that match it are added to that one. The ``kind`` never changes.
    """

    class Kind(models.TextChoices):
        """Whether one of several is chosen for an agent, or all that match are added."""

        WHOLE = "whole", _("Whole: an agent gets one of these")
        FRAGMENT = "fragment", _("Fragment: added to whatever an agent gets")

    name = models.CharField(
        _("name"),
        max_length=100,
        unique=True,
        validators=[
            RegexValidator(
                NAME_PATTERN,
                _("Use letters, digits, dots, dashes and underscores; begin and end with a letter or digit."),
            )
        ],
        help_text=_("Used in URLs; cannot be changed later."),
    )
    kind = models.CharField(
        _("kind"),
        max_length=16,
        choices=Kind.choices,
        default=Kind.WHOLE.value,
        help_text=_("Cannot be changed later. A fragment needs config keys that nothing else for the same agents has."),
    )
    display_name = models.CharField(_("display name"), max_length=255, blank=True)
    description = models.TextField(_("description"), blank=True)
    priority = models.IntegerField(_("priority"), default=0, help_text=_("Of several that match, the highest wins."))
    enabled = models.BooleanField(_("enabled"), default=True)
    selector = models.JSONField(_("selector"), default=dict, blank=True)
    match_all = models.BooleanField(_("match all agents"), default=False)
    content_type = models.CharField(_("content type"), max_length=100, default="text/yaml")
    config_key = models.CharField(_("config key"), max_length=255, blank=True)
    # How revisions are released unless somebody says otherwise; none: as the site has it.
    rollout_policy = models.JSONField(_("rollout policy"), null=True, blank=True)
    current = models.ForeignKey(
        "Revision", on_delete=models.PROTECT, null=True, related_name="+", verbose_name=_("current revision")
    )
    edition = models.PositiveIntegerField(_("edition"), default=1, editable=False)
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    updated_at = models.DateTimeField(_("updated at"), db_default=Now())

    objects = ConfigurationQuerySet.as_manager()

    class Meta:
        verbose_name = _("configuration")
        verbose_name_plural = _("configurations")
        ordering = ["name"]
        permissions = [("publish_with_errors", _("Can publish what checks block"))]

    # Of the agents that applied it, how many are not connected; lists that show it count them.
    last_known_count = 0

    def __str__(self) -> str:
        return self.display_name or self.name

    @property
    def certain_count(self) -> int:
        """Agents that applied it and are connected, where `with_outcomes` counted them."""
        return max(getattr(self, "applied_count", 0) - self.last_known_count, 0)

    @property
    def is_fragment(self) -> bool:
        """Whether it is added to what agents get, instead of competing for them."""
        return self.kind == self.Kind.FRAGMENT

    def parsed_selector(self) -> Selector:
        """The stored selector as a value; it was valid when it was saved."""
        return parse_selector(self.selector, match_all=self.match_all)


class RevisionQuerySet(models.QuerySet["Revision"]):
    """The vocabulary of reading revisions."""

    def released(self) -> Self:
        """Those in force for somebody, each configuration's newest release first, without their files."""
        live = self.filter(release__isnull=False, release__ended_at=None)
        return (
            live.select_related("configuration", "release").defer("files").order_by("configuration_id", "-release_id")
        )


class Revision(models.Model):
    """One immutable state of a configuration: files and targeting, numbered from 1.

    ``hash`` covers the files alone (S-59), so a change of targeting offers nothing anew to those who already run them. Of
    templates it covers the templates; what agents are offered has a hash of its own (`configurations.services.rendering`).
    ``release`` made it what an audience should run, at most once: a revision without one reaches nobody. It stands here and
    not on `Assignment`, since an assigned revision names its release already and the rows of agents stay as narrow as
    they are; so the agents of a release are those assigned to its revision.
    """

    configuration = models.ForeignKey(Configuration, on_delete=models.CASCADE, related_name="revisions")
    number = models.PositiveIntegerField(_("number"))
    files = models.JSONField(_("files"))
    hash = models.CharField(_("hash"), max_length=64, db_index=True)
    selector = models.JSONField(_("selector"), default=dict)
    match_all = models.BooleanField(default=False)
    priority = models.IntegerField(_("priority"), default=0)
    enabled = models.BooleanField(_("enabled"), default=True)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+", verbose_name=_("author")
    )
    author_name = models.CharField(_("author"), max_length=150, blank=True)
    note = models.CharField(_("note"), max_length=500, blank=True)
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    # Whether files are templates, and the labels, vars and secrets in those: ``{"vars": [name, …], …}``.
    templated = models.BooleanField(default=False)
    uses = models.JSONField(default=dict)
    release = models.OneToOneField(
        Release, on_delete=models.SET_NULL, null=True, related_name="+", verbose_name=_("release")
    )

    objects = RevisionQuerySet.as_manager()

    class Meta:
        verbose_name = _("revision")
        verbose_name_plural = _("revisions")
        ordering = ["-number"]
        constraints = [models.UniqueConstraint(fields=["configuration", "number"], name="revision_number")]

    def __str__(self) -> str:
        return f"{self.configuration_id} r{self.number}"

    def parsed_selector(self) -> Selector:
        """The stored selector as a value; it was valid when it was saved."""
        return parse_selector(self.selector, match_all=self.match_all)

    def remote_config(self) -> RemoteConfig:
        """The files as they are offered."""
        return RemoteConfig(files_from_json(self.files))


def files_to_json(files: Mapping[str, ConfigFile]) -> dict[str, dict[str, Any]]:
    """The stored form: ``{key: {"body": text, "content_type", "role"}}``, ``body_base64`` where the body is not UTF-8.

    Of a template it has ``"template": true`` too.
    """
    stored: dict[str, dict[str, Any]] = {}
    for key, file in files.items():
        entry: dict[str, Any] = {"content_type": file.content_type, "role": file.role}
        if file.template:
            entry["template"] = True
        text = file.text
        # PostgreSQL's jsonb refuses NUL, so such a body travels as base64 too.
        if text is None:
            entry["body_base64"] = base64.b64encode(file.body).decode()
        else:
            entry["body"] = text
        stored[key] = entry
    return stored


def files_from_json(stored: Mapping[str, Mapping[str, Any]]) -> dict[str, ConfigFile]:
    """The inverse of `files_to_json`."""
    return {
        key: ConfigFile(
            body=base64.b64decode(entry["body_base64"]) if "body_base64" in entry else entry["body"].encode(),
            content_type=entry.get("content_type", ""),
            role=entry.get("role", ""),
            template=bool(entry.get("template", False)),
        )
        for key, entry in stored.items()
    }


class Assignment(models.Model):
    """What one agent should run, why, and how it answered.

    Exactly one per agent, made with it. Neither ``revision`` nor ``composition`` means unassigned: the agent keeps what it runs.
    ``composition`` holds the revision and those of fragments, where there are any. ``status`` is
    the answer to the *desired* hash only; a late answer that names another hash is not booked here (S-64).
    ``offered_hash`` on ``offered_lease`` is the desired hash once it was sent, and on which connection (S-62, S-65).
    ``failures`` are those of the desired files and of others that labels may bring back (`configurations.failures`).
    """

    class Reason(models.TextChoices):
        """Why this revision."""

        SELECTOR = "selector", _("Its labels match the selector")
        PINNED = "pinned", _("It is pinned to it")
        FRAGMENTS = "fragments", _("No configuration matches, only fragments do")
        NONE = "none", _("No configuration matches")

    class Status(models.TextChoices):
        """`configurations.outcome.AssignmentStatus` with its words."""

        NONE = AssignmentStatus.NONE.value, _("Unassigned")
        PENDING = AssignmentStatus.PENDING.value, _("Pending")
        OFFERED = AssignmentStatus.OFFERED.value, _("Offered")
        APPLYING = AssignmentStatus.APPLYING.value, _("Applying")
        APPLIED = AssignmentStatus.APPLIED.value, _("Applied")
        FAILED = AssignmentStatus.FAILED.value, _("Failed")
        INCAPABLE = AssignmentStatus.INCAPABLE.value, _("Cannot be configured")

    agent = models.OneToOneField(Agent, on_delete=models.CASCADE, primary_key=True, related_name="assignment")
    configuration = models.ForeignKey(
        Configuration, on_delete=models.SET_NULL, null=True, related_name="assignments", verbose_name=_("configuration")
    )
    revision = models.ForeignKey(
        Revision, on_delete=models.SET_NULL, null=True, related_name="+", verbose_name=_("revision")
    )
    composition = models.ForeignKey("Composition", on_delete=models.SET_NULL, null=True, related_name="assignments")
    # The key of the fragments' newest revision.
    newest_fragment = models.BigIntegerField(null=True)
    reason = models.CharField(_("reason"), max_length=16, choices=Reason.choices, default=Reason.NONE)
    assigned_at = models.DateTimeField(_("assigned at"), db_index=True)
    status = models.CharField(_("status"), max_length=16, choices=Status.choices, default=Status.NONE)
    status_at = models.DateTimeField(_("status at"), null=True)
    error_message = models.TextField(_("error"), blank=True)
    failures = models.JSONField(default=dict, blank=True)
    # Why there is nothing to offer: the templates of the revision have no result for this agent.
    rendering_error = models.TextField(blank=True)
    offered_hash = models.CharField(max_length=64, blank=True)
    offered_lease = models.CharField(max_length=64, blank=True)
    offered_at = models.DateTimeField(_("offered at"), null=True)
    offer_count = models.PositiveIntegerField(default=0)
    # A person asked to offer it once more, although the agent answered this hash already.
    retry_requested = models.BooleanField(default=False)

    class Meta:
        verbose_name = _("assignment")
        verbose_name_plural = _("assignments")
        indexes = [models.Index(fields=["configuration", "status"], name="assignment_status")]

    def __str__(self) -> str:
        return f"{self.agent_id}: {self.configuration_id} {self.status}"

    @property
    def newest_id(self) -> int | None:
        """The key of the revision made last of those that the agent should run; ``None`` when it should run nothing of ours."""
        return max(self.revision_id or 0, self.newest_fragment or 0) or None


class TargetingGeneration(models.Model):
    """One row whose ``token`` every change of targeting replaces: processes rebuild their selector index when it moved.

    A random token, not a number: after a restored backup a number could come back with other selectors behind it.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    token = models.UUIDField()

    class Meta:
        verbose_name = _("targeting generation")
        verbose_name_plural = _("targeting generation")
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="only_one_generation")]

    def __str__(self) -> str:
        return str(self.token)
