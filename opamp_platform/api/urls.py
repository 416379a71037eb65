"""URLs below ``/api/v1/``: without trailing slash; one with a slash works too."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, re_path
from rest_framework.routers import SimpleRouter

from accounts.api import AuditViewSet, TokenViewSet
from accounts.api_preferences import PreferencesView
from agents.api import AgentViewSet
from agents.api_acting import ActView
from agents.api_exporting import ExportView
from agents.api_history import FleetHistoryView
from agents.api_label_groups import LabelGroupsView
from agents.api_overview import FailuresView, VersionsView
from agents.api_pruning import PruneView
from agents.api_views import SavedViewViewSet
from alerts.api import AlertRuleViewSet, ReceiverViewSet
from alerts.api_alerts import AlertDeliveryViewSet, AlertViewSet, SilenceViewSet
from certificates.api import CertificateViewSet
from configurations.api import ConfigurationViewSet, DesiredView, RetryView
from configurations.api_adopting import AdoptView, GroupsView
from configurations.api_applying import ApplyView, ConfigurationsExportView
from configurations.api_compare import CompareView
from configurations.api_deleted import DeletedConfigurationViewSet
from configurations.api_drafts import ConfigurationDraftViewSet, DraftViewSet
from configurations.api_pins import PinView, UnpinView
from configurations.api_pipelines import AgentPipelinesView, ConfigurationPipelinesView
from configurations.api_rendered import RenderedView
from configurations.api_rollouts import ConfigurationRolloutViewSet
from configurations.api_starting_points import StartingPointsView, StartingPointView
from connections.api import AgentConnectionView, ConnectionSettingsViewSet, OfferAgainView
from enrolment.api import EnrolmentTokenViewSet
from enrolment.api_approval import ApproveManyView, ApproveView, RejectManyView, RejectView
from jobs.api import JobViewSet
from opamp_platform.api.docs import DocsView, SchemaView
from opamp_platform.api.problems import NoSuchUrl
from packages.api import PackageViewSet
from packages.api_files import DownloadView, FilesView, FileView, InstallAgainView, InstallationsView
from rollouts.api import RolloutViewSet
from rollouts.api_freezes import FreezeViewSet, PauseView, ResumeView
from telemetry.api import TelemetryView
from variables.api import SecretViewSet, VariableViewSet


class SlashOrNot(SimpleRouter):
    """Both forms of every path are the same resource, without a redirect."""

    def __init__(self) -> None:
        super().__init__()
        self.trailing_slash = "/?"


router = SlashOrNot()
router.register("agents", AgentViewSet)
router.register("agent-views", SavedViewViewSet, basename="agent-view")
router.register("configurations", ConfigurationViewSet)
router.register(r"configurations/(?P<name>[^/]+)/drafts", ConfigurationDraftViewSet, basename="configuration-draft")
router.register(
    r"configurations/(?P<name>[^/]+)/rollouts", ConfigurationRolloutViewSet, basename="configuration-rollout"
)
router.register("drafts", DraftViewSet, basename="draft")
router.register("deleted-configurations", DeletedConfigurationViewSet, basename="deleted-configuration")
router.register("rollouts", RolloutViewSet)
router.register("variables", VariableViewSet)
router.register("secrets", SecretViewSet)
router.register("packages", PackageViewSet)
router.register("connection-settings", ConnectionSettingsViewSet)
router.register("freezes", FreezeViewSet)
router.register("enrolment-tokens", EnrolmentTokenViewSet, basename="enrolment-token")
router.register("certificates", CertificateViewSet)
router.register("jobs", JobViewSet)
router.register("alert-rules", AlertRuleViewSet, basename="alert-rule")
router.register("alerts", AlertViewSet)
router.register("silences", SilenceViewSet)
router.register("receivers", ReceiverViewSet)
router.register("alert-deliveries", AlertDeliveryViewSet, basename="alert-delivery")
router.register("audit", AuditViewSet, basename="audit")
router.register("tokens", TokenViewSet, basename="token")

urlpatterns: list[URLPattern | URLResolver] = [
    re_path(r"^schema/?$", SchemaView.as_view(), name="schema"),
    re_path(r"^docs/?$", DocsView.as_view(url_name="schema"), name="docs"),
    re_path(r"^agents/(?P<instance_uid>[^/]+)/configuration/?$", DesiredView.as_view(), name="agent-configuration"),
    re_path(r"^agents/(?P<instance_uid>[^/]+)/configuration/retry/?$", RetryView.as_view(), name="agent-retry"),
    re_path(r"^configurations/(?P<name>[^/]+)/rendered/?$", RenderedView.as_view(), name="configuration-rendered"),
    re_path(
        r"^configurations/(?P<name>[^/]+)/pipelines/?$",
        ConfigurationPipelinesView.as_view(),
        name="configuration-pipelines",
    ),
    re_path(r"^agents/(?P<instance_uid>[^/]+)/pipelines/?$", AgentPipelinesView.as_view(), name="agent-pipelines"),
    re_path(r"^configuration-templates/?$", StartingPointsView.as_view(), name="configuration-templates"),
    re_path(r"^configuration-templates/(?P<name>[^/]+)/?$", StartingPointView.as_view(), name="configuration-template"),
    re_path(r"^compare/?$", CompareView.as_view(), name="compare"),
    re_path(r"^configurations:apply/?$", ApplyView.as_view(), name="configurations-apply"),
    re_path(r"^configurations:export/?$", ConfigurationsExportView.as_view(), name="configurations-export"),
    re_path(r"^configurations:adopt/?$", AdoptView.as_view(), name="configurations-adopt"),
    re_path(r"^agents:act/?$", ActView.as_view(), name="agents-act"),
    re_path(r"^me/preferences/?$", PreferencesView.as_view(), name="my-preferences"),
    re_path(r"^agents/summary/history/?$", FleetHistoryView.as_view(), name="agents-history"),
    re_path(r"^agents/summary/failures/?$", FailuresView.as_view(), name="agents-failures"),
    re_path(r"^agents/summary/versions/?$", VersionsView.as_view(), name="agents-versions"),
    re_path(r"^agents:prune/?$", PruneView.as_view(), name="agents-prune"),
    re_path(r"^agents:export/?$", ExportView.as_view(), name="agents-export"),
    re_path(r"^agents:groups/?$", LabelGroupsView.as_view(), name="agents-by-label"),
    re_path(r"^agents/groups/?$", GroupsView.as_view(), name="agent-groups"),
    re_path(r"^agents/(?P<instance_uid>[^/]+)/pin/?$", PinView.as_view(), name="agent-pin"),
    re_path(r"^agents/(?P<instance_uid>[^/]+)/unpin/?$", UnpinView.as_view(), name="agent-unpin"),
    re_path(r"^agents/(?P<instance_uid>[^/]+)/telemetry/?$", TelemetryView.as_view(), name="agent-telemetry"),
    re_path(r"^agents/(?P<instance_uid>[^/]+)/pause/?$", PauseView.as_view(), name="agent-pause"),
    re_path(r"^agents/(?P<instance_uid>[^/]+)/resume/?$", ResumeView.as_view(), name="agent-resume"),
    re_path(r"^agents/(?P<instance_uid>[^/]+)/approve/?$", ApproveView.as_view(), name="agent-approve"),
    re_path(r"^agents/(?P<instance_uid>[^/]+)/reject/?$", RejectView.as_view(), name="agent-reject"),
    re_path(r"^agents/approve/?$", ApproveManyView.as_view(), name="agents-approve"),
    re_path(r"^agents/reject/?$", RejectManyView.as_view(), name="agents-reject"),
    re_path(r"^packages/(?P<pk>[0-9]{1,18})/download/?$", DownloadView.as_view(), name="package-file"),
    re_path(
        r"^packages/(?P<pk>[0-9]{1,18})/versions/(?P<number>[0-9]{1,9})/files/?$",
        FilesView.as_view(),
        name="package-files",
    ),
    re_path(
        r"^packages/(?P<pk>[0-9]{1,18})/versions/(?P<number>[0-9]{1,9})/files/(?P<file_id>[0-9]{1,18})/?$",
        FileView.as_view(),
        name="package-file-delete",
    ),
    re_path(
        r"^agents/(?P<instance_uid>[^/]+)/installations/?$", InstallationsView.as_view(), name="agent-installations"
    ),
    re_path(
        r"^agents/(?P<instance_uid>[^/]+)/installations/retry/?$",
        InstallAgainView.as_view(),
        name="agent-install-again",
    ),
    re_path(
        r"^agents/(?P<instance_uid>[^/]+)/connection-settings/?$",
        AgentConnectionView.as_view(),
        name="agent-connection-settings",
    ),
    re_path(
        r"^agents/(?P<instance_uid>[^/]+)/connection-settings/retry/?$",
        OfferAgainView.as_view(),
        name="agent-connection-settings-retry",
    ),
    *router.urls,
    re_path(r"^", NoSuchUrl.as_view()),
]
