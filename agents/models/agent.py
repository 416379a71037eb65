"""The agent itself: what lists, filters and matching read, the vocabulary of reading it, and what its heartbeats change."""

from __future__ import annotations

from collections import Counter
from typing import Any, Self

from django.db import models
from django.db.models import Case, Count, F, OrderBy, Q, When
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from agents.conditions import presence_order, status_condition
from agents.reports import FACT_NAMES, Facts, RemoteConfigStatuses, Status, derived_status

_SIGN_BIT = 1 << 63
# What follows a column in every order by it, as in its index; the key follows all others.
# The first part of `Agent.headline`, for queries.
HEADLINE = Case(When(Q(custom_name="") & ~Q(hostname=""), then=F("hostname")), default=F("name"))
_TIES = {"configuration_name": ("name", "hostname", "pk"), "name": ("hostname", "pk")}


class SequenceNumberField(models.BigIntegerField):  # type: ignore[type-arg]
    """An unsigned 64-bit number in a signed column: the upper half is stored as negative numbers.

    Only equality is ever asked of it (S-42), so the order of the stored form does not matter.
    """

    def get_prep_value(self, value: Any) -> Any:
        value = super().get_prep_value(value)
        return value - (1 << 64) if isinstance(value, int) and value >= _SIGN_BIT else value

    def from_db_value(self, value: int | None, *_args: object) -> int | None:
        """The number as reported."""
        return value + (1 << 64) if value is not None and value < 0 else value

    @property
    def validators(self) -> list[Any]:
        """None: the database's signed range is not the field's range."""
        return []


class Transport(models.TextChoices):
    """How an agent last talked to us."""

    WEBSOCKET = "websocket", _("WebSocket")
    HTTP = "http", _("HTTP")


class Approval(models.TextChoices):
    """Whether a person let the agent in, where new agents wait for that; all others are approved."""

    APPROVED = "approved", _("approved")
    PENDING = "pending", _("awaiting approval")
    REJECTED = "rejected", _("rejected")


class AgentQuerySet(models.QuerySet["Agent"]):
    """The vocabulary of reading agents, shared by admin, API and services."""

    def count_by_status(self) -> Counter[Status]:
        """How many agents have each status; the one rule of `derived_status` over the grouped facts."""
        counts: Counter[Status] = Counter(dict.fromkeys(Status, 0))
        # COUNT(*) needs no column beside those of the index over the facts, so the table itself is not read.
        for *facts, number in self.order_by().values_list(*FACT_NAMES).annotate(number=Count("*")):
            counts[derived_status(Facts(*facts))] += number
        return counts

    def visible_to(self, user: Any) -> Self:
        """What ``user`` may see: all agents with the view right, else none."""
        return self if user.has_perm("agents.view_agent") else self.none()

    def connected(self) -> Self:
        """Agents with a live lease (WebSocket) or within their promised poll interval (HTTP)."""
        return self.filter(connected=True)

    def in_order(self, *names: str | OrderBy) -> Self:
        """Ordered by these fields, then by key, so that rows with equal values do not change places between two pages.

        The key follows the last direction, so that one index serves both. Agents of one configuration are by name, those of
        one name by host: many agents have no name but that of their service.
        """
        last = names[-1]
        if isinstance(last, OrderBy):
            return self.order_by(*names, "-pk" if last.descending else "pk")
        sign = "-" if last.startswith("-") else ""
        ties = _TIES.get(last.removeprefix("-"), ("pk",))
        return self.order_by(*names, *(f"{sign}{tie}" for tie in ties))

    def keys_in_order(self) -> models.QuerySet[Any, int]:
        """Their keys in the order of the rows, asked of the smallest table that has it.

        By last seen that is the presences, one of which every agent has: their index alone, when all agents are listed.
        """
        names = [name for name in self.query.order_by if isinstance(name, str)]
        order = presence_order(names) if len(names) == len(self.query.order_by) else []
        if not order or self.query.is_sliced:
            return self.values_list("pk", flat=True)
        presences = AgentPresence.objects.order_by(*order)
        if not self.query.standard_ordering:
            presences = presences.reverse()
        agents = self.order_by().select_related(None)
        if agents.query.where:
            presences = presences.filter(agent__in=agents.values("pk"))
        return presences.values_list("agent_id", flat=True)

    def locked(self) -> Self:
        """Locked until the transaction ends, in the order of their keys, where the database can.

        Whoever changes several agents, or rows that belong to them, locks the agents so and first: in another order two
        transactions would wait for each other. All that one transaction needs come in one query, or in growing order.
        """
        return self.select_for_update(of=("self",)).order_by("id")

    def drifted(self) -> Self:
        """Agents that run something else than they applied; of those that are not connected the last known fact."""
        return self.filter(config_drifted=True)

    def awaiting_approval(self) -> Self:
        """Agents to whom nothing is offered until a person has approved them."""
        return self.filter(approval=Approval.PENDING)

    def with_status(self, status: Status) -> Self:
        """Agents whose derived status is ``status``; the same rule as `agents.reports.derived_status`, as a condition."""
        return self.filter(status_condition(status))


class Agent(models.Model):
    """One agent of the fleet: identity, described facts, labels, and the three facts that make its status.

    ``connected``, ``healthy`` and ``in_sync`` are never merged. ``lease_id`` names the connection that owns the agent
    now; releasing compares it, so that an old socket's late close cannot evict a newer one (S-34). It stays
    when the lease expired, for the connection may live after all.
    ``configuration_*`` say what it should run; only `configurations.services` writes them.
    """

    instance_uid = models.UUIDField(_("instance UID"), unique=True)
    # Assigned but not yet used by the agent: its row moves there with the first message that carries it (S-30).
    next_instance_uid = models.UUIDField(null=True, unique=True, editable=False)
    # The connection on which the agent was told its next uid: once is enough (S-30).
    next_uid_lease = models.CharField(max_length=64, blank=True, editable=False)
    name = models.CharField(_("name"), max_length=255, help_text=_("The operator's name for it, else service.name."))
    custom_name = models.CharField(_("operator's name"), max_length=255, blank=True)
    notes = models.TextField(_("notes"), blank=True)

    # Reported: described facts.
    service_name = models.CharField(_("service"), max_length=255, blank=True)
    service_namespace = models.CharField(_("namespace"), max_length=255, blank=True)
    version = models.CharField(_("version"), max_length=100, blank=True)
    hostname = models.CharField(_("host"), max_length=255, blank=True)
    os_type = models.CharField(_("OS"), max_length=100, blank=True)
    os_description = models.CharField(_("OS description"), max_length=255, blank=True)
    architecture = models.CharField(_("architecture"), max_length=100, blank=True)
    capabilities = models.BigIntegerField(_("capabilities"), default=0)

    labels = models.JSONField(_("labels"), default=dict, help_text=_("What selectors match; operator labels win."))
    operator_labels = models.JSONField(_("operator labels"), default=dict, blank=True)
    # What it says of itself under keys for which only an operator's label counts: shown, and matched by nothing.
    asserted_labels = models.JSONField(_("asserted labels"), default=dict, editable=False)

    # Who is connected.
    connected = models.BooleanField(_("connected"), default=False)
    transport = models.CharField(_("transport"), max_length=16, choices=Transport.choices, blank=True)
    remote_address = models.CharField(_("remote address"), max_length=64, blank=True)
    lease_id = models.CharField(max_length=64, blank=True, editable=False)
    lease_process = models.CharField(max_length=64, blank=True, editable=False)
    # Of two connections the one opened later is the agent's, whichever spoke first on it (S-32).
    lease_opened_at = models.DateTimeField(null=True, editable=False)
    first_seen_at = models.DateTimeField(_("first seen"), db_default=Now())
    connected_at = models.DateTimeField(_("connected since"), null=True, blank=True)
    disconnected_at = models.DateTimeField(_("disconnected since"), null=True, blank=True)

    # Its own credential (S-115), of which nothing secret is kept: the number in force, and the one before it until the new
    # one was used (S-82). `services.credentials` alone writes them.
    credential_number = models.BigIntegerField(null=True, editable=False)
    credential_former_number = models.BigIntegerField(null=True, editable=False)
    credential_issued_at = models.DateTimeField(_("credential issued"), null=True, editable=False)
    # From then on the shared secret is not enough for this agent (S-117).
    credential_used_at = models.DateTimeField(_("own credential since"), null=True, editable=False)
    # Shut out, whatever it shows, until a person allows its enrolment.
    credential_revoked_at = models.DateTimeField(_("credential revoked"), null=True, editable=False)

    # Until it is approved nothing is offered to it; one that was rejected may not speak.
    approval = models.CharField(
        _("approval"), max_length=8, choices=Approval.choices, default=Approval.APPROVED, db_default=Approval.APPROVED
    )
    # The name of the enrolment token it came by last; empty for one that never did.
    enrolled_by = models.CharField(_("enrolled by"), max_length=100, blank=True, default="", db_default="")

    # Reported: health and the outcome of the last offer.
    healthy = models.BooleanField(_("healthy"), null=True, blank=True)
    health_status = models.CharField(_("health status"), max_length=255, blank=True)
    last_error = models.TextField(_("last error"), blank=True)
    started_at = models.DateTimeField(_("started at"), null=True, blank=True)
    remote_config_hash = models.CharField(_("reported hash"), max_length=128, blank=True)
    remote_config_status = models.PositiveSmallIntegerField(
        _("configuration status"),
        choices=[(item.value, item.name) for item in RemoteConfigStatuses],
        default=RemoteConfigStatuses.UNSET,
    )
    remote_config_error = models.TextField(_("configuration error"), blank=True)

    # What it should run.
    configuration_name = models.CharField(_("configuration"), max_length=100, blank=True)
    configuration_revision = models.PositiveIntegerField(_("revision"), null=True, blank=True)
    configuration_hash = models.CharField(_("desired hash"), max_length=64, blank=True)
    in_sync = models.BooleanField(_("in sync"), null=True, blank=True)
    config_failed = models.BooleanField(_("configuration failed"), default=False)
    config_applying = models.BooleanField(_("configuration is being applied"), default=False)
    # It applied what it should run, and says now that it runs something else.
    config_drifted = models.BooleanField(_("runs something else than it applied"), default=False)

    objects = AgentQuerySet.as_manager()

    class Meta:
        verbose_name = _("agent")
        verbose_name_plural = _("agents")
        ordering = ["name", "hostname", "id"]
        # Not a view right: those who may look do not thereby see credentials (S-116).
        permissions = [("reveal_secrets", _("Can see secrets in configurations and reports"))]
        indexes = [
            models.Index(fields=["name", "hostname", "id"], name="agent_name"),
            # All that lists filter by and count, so that counting does not read the rows. The fleet has few combinations of
            # these, which PostgreSQL keeps once each: ten bytes an agent.
            models.Index(
                fields=[
                    "connected",
                    "healthy",
                    "in_sync",
                    "config_failed",
                    "config_applying",
                    "config_drifted",
                    "os_type",
                    "version",
                    "transport",
                    "configuration_name",
                    "architecture",
                ],
                name="agent_facts",
            ),
            # With the key, which ends every order: half the fleet may have one version.
            models.Index(fields=["version", "id"], name="agent_version"),
            models.Index(fields=["os_type", "id"], name="agent_os_type"),
            models.Index(fields=["hostname", "id"], name="agent_hostname"),
            models.Index(fields=["service_name"], name="agent_service_name"),
            models.Index(fields=["configuration_name", "name", "hostname", "id"], name="agent_configuration"),
            models.Index(fields=["lease_process"], name="agent_lease_process", condition=~Q(lease_process="")),
            models.Index(fields=["lease_id"], name="agent_lease", condition=~Q(lease_id="")),
            models.Index(fields=["id"], name="agent_drifted", condition=Q(config_drifted=True)),
            models.Index(fields=["first_seen_at", "id"], name="agent_first_seen"),
            models.Index(fields=["connected_at", "id"], name="agent_connected_at"),
            models.Index(
                fields=["credential_revoked_at"], name="agent_revoked", condition=Q(credential_revoked_at__isnull=False)
            ),
            models.Index(fields=["approval", "id"], name="agent_approval", condition=~Q(approval="approved")),
            models.Index(fields=["enrolled_by", "id"], name="agent_enrolled_by", condition=~Q(enrolled_by="")),
        ]

    def __str__(self) -> str:
        return self.headline[0]

    def name_and_host(self) -> str:
        """For those who read of the agent when it may be gone: ``edge-1 (host-7)``, or ``host-7 (otelcol)``."""
        first, second = self.headline
        return f"{first} ({second})" if second else first

    @property
    def headline(self) -> tuple[str, str]:
        """What tells the agent apart, and what more there is to its name, which may be nothing.

        Without a name of an operator's that is the host: all agents of one kind have the name of their service.
        """
        if self.custom_name or not self.hostname:
            return self.name or str(self.instance_uid), "" if self.hostname == self.name else self.hostname
        return self.hostname, "" if self.hostname == self.name else self.name

    def facts(self) -> Facts:
        """The facts, for `derived_status`."""
        return Facts(
            connected=self.connected,
            healthy=self.healthy,
            in_sync=self.in_sync,
            config_failed=self.config_failed,
            config_applying=self.config_applying,
        )

    @property
    def status(self) -> Status:
        """The one-word status."""
        return derived_status(self.facts())


class AgentPresence(models.Model):
    """When an agent was last heard, and its last sequence number: all that a heartbeat changes.

    Written in batches, so after a crash it may lag; the sequence gap then makes us ask for the full state (S-43).
    """

    agent = models.OneToOneField(Agent, on_delete=models.CASCADE, primary_key=True, related_name="presence")
    last_seen_at = models.DateTimeField(_("last seen"))
    sequence_num = SequenceNumberField(_("sequence number"), default=0)
    # Of the bytes of the last recorded report, so that any process recognises a retry of it (S-46, S-62).
    message_digest = models.BigIntegerField(default=0)
    # When an HTTP agent that stays silent counts as disconnected; NULL for WebSocket, where the lease decides.
    expires_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("presence")
        verbose_name_plural = _("presence")
        indexes = [
            # With the key: a deep page is found in the index alone, without a look at the rows it skips.
            models.Index(fields=["last_seen_at", "agent"], name="presence_last_seen"),
            models.Index(fields=["expires_at"], name="presence_expires", condition=Q(expires_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.agent_id}: {self.last_seen_at:%Y-%m-%d %H:%M:%S}"
