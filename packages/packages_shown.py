"""What pages and lists of agents say of packages: the panel, lines of the timeline, who could be upgraded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import Count, Expression, F, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from agents.extensions import Panel, TimelineKind
from agents.models import Agent
from packages.installation_outcome import InstallationStatus
from packages.models import Installation, Package, PackageSet, PackageVersion
from packages.services import installing
from packages.services.version_rollouts import PACKAGE_SUBJECT

# As over REST.
RETRY_RIGHTS = ("agents.change_agent", "packages.view_package")
_INSTALLED = InstallationStatus.INSTALLED.value


def upgradable_keys() -> QuerySet[Installation, Any]:
    """Keys of agents that have not installed what they should, or whose package has a newer version, released or not."""
    newest = PackageVersion.objects.filter(package=OuterRef("package")).order_by("-number").values("number")[:1]
    rows = Installation.objects.annotate(newest=Subquery(newest)).order_by()
    current = rows.filter(status=_INSTALLED, version__number=F("newest"))
    return rows.exclude(pk__in=current.values("pk")).values_list("agent_id", flat=True)


def counted(rows: QuerySet[Package]) -> QuerySet[Package]:
    """Annotated with the newest version, and how many agents should have each and how far they are."""
    newest = PackageVersion.objects.filter(package=OuterRef("pk")).order_by("-number").values("version")[:1]
    return rows.annotate(
        newest_version=Subquery(newest),
        agent_count=_agents(),
        installed_count=_agents(InstallationStatus.INSTALLED),
        failed_count=_agents(InstallationStatus.FAILED),
    )


def _agents(*statuses: InstallationStatus) -> Expression:
    rows = Installation.objects.filter(package=OuterRef("pk"))
    if statuses:
        rows = rows.filter(status__in=[status.value for status in statuses])
    return Coalesce(Subquery(rows.order_by().values("package").annotate(number=Count("*")).values("number")), 0)


def versions_of(package: Package) -> QuerySet[PackageVersion]:
    """The newest first, with their files, whether each is in force for somebody, and how many agents should have it."""
    return PACKAGE_SUBJECT.versions_of(package).prefetch_related("artefacts")


def packages_panel(request: HttpRequest, agent: Agent) -> dict[str, Any]:
    """What the agent should have, and how far it is."""
    rows = Installation.objects.filter(agent=agent).select_related("package", "version", "artefact")
    installations = list(rows.order_by("package__name"))
    return {
        "agent": agent,
        "installations": installations,
        "package_set": PackageSet.objects.filter(agent=agent).first(),
        "may_see": request.user.has_perm("packages.view_package"),
        "may_retry": request.user.has_perms(RETRY_RIGHTS)
        and any(row.status not in (_INSTALLED, InstallationStatus.INCAPABLE.value) for row in installations),
    }


PANEL = Panel(
    "installations", "panels/packages.html", packages_panel, gettext_lazy("Packages it should have"), tab="packages"
)


def _due(data: Mapping[str, Any]) -> str:
    return _("Should have %(package)s %(version)s") % _values(data)


def _offered(data: Mapping[str, Any]) -> str:
    return _("%(package)s %(version)s was offered") % _values(data)


def _installed(data: Mapping[str, Any]) -> str:
    return _("Installed %(package)s %(version)s") % _values(data)


def _failed(data: Mapping[str, Any]) -> str:
    return _("Could not install %(package)s %(version)s: %(error)s") % _values(data)


def _dropped(data: Mapping[str, Any]) -> str:
    return _("Should not have %(package)s any more") % _values(data)


def _values(data: Mapping[str, Any]) -> dict[str, Any]:
    return {name: data.get(name, "") for name in ("package", "version", "error")}


TIMELINE_KINDS = (
    TimelineKind(installing.ASSIGNED, gettext_lazy("Package due"), _due, "quiet"),
    TimelineKind(installing.OFFERED, gettext_lazy("Package offered"), _offered, "quiet"),
    TimelineKind(installing.INSTALLED, gettext_lazy("Package installed"), _installed, "good"),
    TimelineKind(installing.FAILED, gettext_lazy("Package failed"), _failed, "bad"),
    TimelineKind(installing.REMOVED, gettext_lazy("Package dropped"), _dropped, "quiet"),
)
