"""The right that each URL needs, and each method of it; `test_people_and_entry_points` holds everybody to it."""

from __future__ import annotations

from tests.opamp_platform.callers import NOBODY
from tests.opamp_platform.entry_point_kinds import PUBLIC, SIGNED_IN, EntryPoint, crud, page, rest
from variables.api import VALUE_KEY

SEE_A, EDIT_A, DROP_A = "agents.view_agent", "agents.change_agent", "agents.delete_agent"
SEE_C, EDIT_C = "configurations.view_configuration", "configurations.change_configuration"
ADD_C, DROP_C = "configurations.add_configuration", "configurations.delete_configuration"

AGENT, CONFIGURATION = "api/v1/^agents/(?P<instance_uid>[^/]+)", "api/v1/^configurations/(?P<name>[^/]+)"
A_PAGE, C_PAGE = "admin/agents/agent/<int:pk>", "admin/configurations/configuration"
D_PAGE, KEY = "admin/configurations/deletedconfiguration", "(?P<pk>[0-9]{1,18})"

SEE_P, EDIT_P = "packages.view_package", "packages.change_package"
PACKAGE, NUMBER = f"api/v1/^packages/{KEY}", "(?P<number>[0-9]{1,9})"
SEE_S, EDIT_S = "connections.view_connectionsettings", "connections.change_connectionsettings"
SETTINGS, S_PAGE = "api/v1/^connection-settings/(?P<name>[^/]+)", "admin/connections/connectionsettings"
V_PAGE = "admin/packages/package/<int:pk>/versions/<int:number>"


def alert_entry_points() -> dict[str, EntryPoint]:
    """Alerts: operators handle what is wrong, administrators say what is watched and who is told."""
    found: dict[str, EntryPoint] = {}
    for path, model in (("alert-rules", "alertrule"), ("receivers", "receiver")):
        right = f"alerts.{{}}_{model}".format
        found |= {
            f"api/v1/^{path}/?$": rest(get=right("view"), post=right("add")),
            f"api/v1/^{path}/{KEY}/?$": rest(get=right("view"), patch=right("change"), delete=right("delete")),
            **crud(f"alerts/{model}"),
        }
    for path, model, act in (
        ("alerts", "alert", "acknowledge"),
        ("silences", "silence", "end"),
        ("alert-deliveries", "alertdelivery", "retry"),
    ):
        right = f"alerts.{{}}_{model}".format
        page_of = f"admin/alerts/{model}"
        found |= {
            f"api/v1/^{path}/?$": rest(get=right("view")),
            f"api/v1/^{path}/{KEY}/?$": rest(get=right("view")),
            f"api/v1/^{path}/{KEY}/{act}/?$": rest(post=right("change")),
            **crud(f"alerts/{model}"),
            f"{page_of}/add/": page(NOBODY),
            f"{page_of}/<path:object_id>/delete/": page(NOBODY),
            f"{page_of}/<path:object_id>/change/": page(right("view"), post=NOBODY),
            f"{page_of}/<int:pk>/{act}/": page(right("change")),
        }
    return {
        **found,
        "api/v1/^silences/?$": rest(get="alerts.view_silence", post="alerts.add_silence"),
        "api/v1/^alert-rules/preview/?$": rest(post=f"alerts.view_alertrule {SEE_A}"),
        f"api/v1/^receivers/{KEY}/test/?$": rest(post="alerts.change_receiver"),
        "admin/alerts/alert/bell/": page("alerts.view_alert"),
        "admin/alerts/silence/start/": page("alerts.add_silence"),
        "admin/alerts/alertrule/add/<slug:kind>/": page("alerts.add_alertrule"),
        "admin/alerts/alertrule/start/": page("alerts.add_alertrule"),
        "admin/alerts/receiver/add/<slug:kind>/": page("alerts.add_receiver"),
        "admin/alerts/receiver/<int:pk>/test/": page("alerts.change_receiver"),
    }


ENTRY_POINTS: dict[str, EntryPoint] = {
    "": EntryPoint({None: PUBLIC}),
    "i18n/setlang/": EntryPoint({None: PUBLIC}),
    "^health/live/?$": EntryPoint({None: PUBLIC}),
    "^health(?:/ready)?/?$": EntryPoint({None: PUBLIC}),
    "^metrics/?$": EntryPoint({None: PUBLIC}),
    # The portal itself.
    "admin/": page(),
    "admin/login/": EntryPoint({None: PUBLIC}),
    # Whoever is not in leaves without having been.
    "admin/logout/": EntryPoint({None: PUBLIC}),
    "admin/password_change/": page(),
    "admin/password_change/done/": page(),
    "admin/preferences/": page(),
    "admin/checklist/dismiss/": page(),
    "admin/connect/": page(SEE_A, post=f"{SEE_A} enrolment.add_enrolmenttoken"),
    # By what agents run, and adopting it.
    "admin/running/": page(SEE_A, SEE_C),
    "admin/running/<slug:key>/adopt/": page(SEE_A, SEE_C, ADD_C),
    "admin/agents/agent/<int:agent_id>/adopt/": page(SEE_A, SEE_C, ADD_C),
    "admin/compare/": page(SEE_C),
    "admin/autocomplete/": page("accounts.view_user"),
    "admin/jsi18n/": page(),
    "admin/r/<path:content_type_id>/<path:object_id>/": page(),
    # What of it somebody may see; 404 when that is nothing.
    "admin/^(?P<app_label>…)/$": page(),
    "admin/(?P<url>.*)$": page(),
    # People. Only an administrator has any of these rights here.
    **crud("auth/group"),
    **crud("accounts/user"),
    **crud("accounts/apitoken"),
    **crud("accounts/auditentry"),
    "admin/accounts/user/<id>/password/": page("accounts.change_user"),
    # Tokens and the trail are seen and never changed.
    "admin/accounts/apitoken/<path:object_id>/change/": page("accounts.view_apitoken", post=NOBODY),
    "admin/accounts/auditentry/<path:object_id>/change/": page("accounts.view_auditentry", post=NOBODY),
    "admin/accounts/auditentry/add/": page(NOBODY),
    "admin/accounts/auditentry/<path:object_id>/delete/": page(NOBODY),
    # Agents.
    **crud("agents/agent"),
    "admin/agents/agent/add/": page(NOBODY),
    **{f"admin/agents/agent/{end}/": page(SEE_A) for end in ("suggest", "rows")},
    # Says again what was typed; only who may see agents learns how many that means.
    "admin/agents/agent/selector/": page(),
    "admin/agents/agent/prune/": page(DROP_A),
    "admin/agents/agent/export/": page(SEE_A),
    # One's own views; those of others are not there, or not to be changed.
    "admin/agents/agent/columns/": page(SEE_A),
    "admin/agents/agent/views/": page(SEE_A),
    "admin/agents/agent/views/add/": page(SEE_A),
    "admin/agents/agent/views/<int:pk>/": page(SEE_A),
    "admin/agents/agent/views/<int:pk>/delete/": page(SEE_A),
    "api/v1/^agents:export/?$": rest(get=SEE_A, post=SEE_A),
    "api/v1/^agents:groups/?$": rest(get=SEE_A),
    "api/v1/^agent-views/?$": rest(get=SEE_A, post=SEE_A),
    f"api/v1/^agent-views/{KEY}/?$": rest(get=SEE_A, put=SEE_A, patch=SEE_A, delete=SEE_A),
    f"{A_PAGE}/timeline/": page(SEE_A),
    f"{A_PAGE}/restart/": page(EDIT_A),
    f"{A_PAGE}/uid/": page(EDIT_A),
    f"{A_PAGE}/revoke/": page(EDIT_A),
    f"{A_PAGE}/enrolment/": page(EDIT_A),
    f"{A_PAGE}/message/": page(EDIT_A),
    f"{A_PAGE}/approve/": page(EDIT_A),
    f"{A_PAGE}/reject/": page(EDIT_A),
    f"{A_PAGE}/whole/": page(SEE_A),
    f"{A_PAGE}/whole/file/": page(SEE_A),
    f"{A_PAGE}/secrets/": page(SEE_A, "agents.reveal_secrets"),
    f"{A_PAGE}/secrets/file/": page(SEE_A, "agents.reveal_secrets"),
    # Configurations.
    **crud("configurations/configuration"),
    # For who writes a configuration; here a new one.
    f"{C_PAGE}/reach/": page(ADD_C),
    f"{C_PAGE}/problems/": page(ADD_C),
    f"{C_PAGE}/completions/": page(ADD_C),
    f"{C_PAGE}/templates/": page(ADD_C),
    f"{C_PAGE}/<int:pk>/live-files/": page(SEE_C),
    f"{C_PAGE}/drafts/<int:draft_id>/": page(SEE_C, post=EDIT_C),
    f"{C_PAGE}/drafts/<int:draft_id>/rebase/": page(EDIT_C),
    f"{C_PAGE}/drafts/<int:draft_id>/discard/": page(EDIT_C),
    f"{C_PAGE}/<int:pk>/rollback/<int:number>/": page(EDIT_C),
    f"{C_PAGE}/<int:pk>/switch/": page(EDIT_C),
    f"{C_PAGE}/<int:pk>/secrets/": page(SEE_C, "agents.reveal_secrets"),
    f"{C_PAGE}/<int:pk>/secrets/file/": page(SEE_C, "agents.reveal_secrets"),
    f"{C_PAGE}/retry/<int:agent_id>/": page(EDIT_A, SEE_C),
    f"{C_PAGE}/export/": page(SEE_C),
    f"{C_PAGE}/import/": page(SEE_C, EDIT_C),
    f"{C_PAGE}/<int:pk>/rendered/": page(SEE_C, SEE_A),
    # Deleted ones: rights are those on configurations.
    f"{D_PAGE}/": page(SEE_C),
    f"{D_PAGE}/add/": page(NOBODY),
    f"{D_PAGE}/<path:object_id>/history/": page(SEE_C),
    f"{D_PAGE}/<path:object_id>/delete/": page(DROP_C),
    f"{D_PAGE}/<path:object_id>/change/": page(SEE_C, post=NOBODY),
    f"{D_PAGE}/<path:object_id>/": page(),
    f"{D_PAGE}/<int:pk>/restore/": page(ADD_C),
    # Pins have no list of their own, but for Django's.
    **crud("configurations/pin"),
    "admin/configurations/pin/add/": page(NOBODY),
    "admin/configurations/pin/<path:object_id>/delete/": page(NOBODY),
    "admin/configurations/pin/<path:object_id>/change/": page("configurations.view_pin", post=NOBODY),
    "admin/configurations/pin/pin/<int:agent_id>/": page(EDIT_A, SEE_C),
    "admin/configurations/pin/unpin/<int:agent_id>/": page(EDIT_A, SEE_C),
    # Rollouts and freezes are started by publishing and by a switch, and stay as what happened.
    **crud("rollouts/rollout"),
    "admin/rollouts/rollout/add/": page(NOBODY),
    "admin/rollouts/rollout/<path:object_id>/delete/": page(NOBODY),
    "admin/rollouts/rollout/<path:object_id>/change/": page("rollouts.view_rollout"),
    "admin/rollouts/rollout/<int:pk>/act/<slug:name>/": page("rollouts.change_rollout"),
    **crud("rollouts/freeze"),
    "admin/rollouts/freeze/add/": page(NOBODY),
    "admin/rollouts/freeze/<path:object_id>/delete/": page(NOBODY),
    "admin/rollouts/freeze/<path:object_id>/change/": page("rollouts.view_freeze", post=NOBODY),
    "admin/rollouts/freeze/start/": page("rollouts.add_freeze"),
    "admin/rollouts/freeze/<int:pk>/end/": page("rollouts.change_freeze"),
    "admin/rollouts/freeze/pause/<int:agent_id>/": page(EDIT_A),
    "admin/rollouts/freeze/resume/<int:agent_id>/": page(EDIT_A),
    # Enrolment tokens are made on the page that connects agents, and stay.
    **crud("enrolment/enrolmenttoken"),
    "admin/enrolment/enrolmenttoken/<path:object_id>/delete/": page(NOBODY),
    "admin/enrolment/enrolmenttoken/<path:object_id>/change/": page("enrolment.view_enrolmenttoken", post=NOBODY),
    "admin/enrolment/enrolmenttoken/<int:pk>/revoke/": page("enrolment.change_enrolmenttoken"),
    # Certificates of agents: asked for by agents, decided by people, and kept.
    **crud("certificates/agentcertificate"),
    "admin/certificates/agentcertificate/add/": page(NOBODY),
    "admin/certificates/agentcertificate/<path:object_id>/delete/": page(NOBODY),
    "admin/certificates/agentcertificate/<path:object_id>/change/": page("certificates.view_agentcertificate"),
    "admin/certificates/agentcertificate/<int:pk>/act/<slug:name>/": page("certificates.change_agentcertificate"),
    # Jobs: everybody has their own, and nobody makes, changes or deletes one by hand.
    **crud("jobs/job"),
    "admin/jobs/job/": page(),
    "admin/jobs/job/add/": page(NOBODY),
    "admin/jobs/job/<path:object_id>/delete/": page(NOBODY),
    "admin/jobs/job/<path:object_id>/change/": page(),
    "admin/jobs/job/<path:object_id>/history/": page(),
    "admin/jobs/job/<int:pk>/act/<slug:name>/": page(),
    "admin/jobs/job/flyout/": page(),
    "admin/jobs/job/<int:pk>/file/": page(),
    # Variables and secrets.
    **crud("variables/variable"),
    **crud("variables/secret"),
    # Packages.
    **crud("packages/package"),
    "admin/packages/package/<int:pk>/versions/add/": page(EDIT_P),
    "admin/packages/package/<int:pk>/policy/": page(EDIT_P),
    f"{V_PAGE}/upload/": page(EDIT_P),
    f"{V_PAGE}/release/": page(EDIT_P),
    f"{V_PAGE}/delete/": page(EDIT_P),
    f"{V_PAGE}/files/<int:file_id>/delete/": page(EDIT_P),
    "admin/packages/package/install/<int:agent_id>/": page(EDIT_A, SEE_P),
    # Connection settings.
    **crud("connections/connectionsettings"),
    f"{S_PAGE}/<int:pk>/move/": page(EDIT_S),
    f"{S_PAGE}/<int:pk>/versions/<int:number>/release/": page(EDIT_S),
    f"{S_PAGE}/again/<int:agent_id>/": page(EDIT_A, SEE_S),
    "api/v1/^connection-settings/?$": rest(get=SEE_S, post="connections.add_connectionsettings"),
    f"{SETTINGS}/?$": rest(get=SEE_S, put=EDIT_S, patch=EDIT_S, delete="connections.delete_connectionsettings"),
    f"{SETTINGS}/agents/?$": rest(get=f"{SEE_S} {SEE_A}"),
    f"{SETTINGS}/preview/?$": rest(post=f"{SEE_S} {SEE_A}"),
    f"{SETTINGS}/move/?$": rest(get=f"{SEE_S} {SEE_A}", post=f"{EDIT_S} {SEE_A}"),
    f"{SETTINGS}/versions/?$": rest(get=SEE_S),
    f"{SETTINGS}/versions/{NUMBER}/?$": rest(get=SEE_S),
    f"{SETTINGS}/versions/{NUMBER}/release/?$": rest(post=EDIT_S),
    f"{AGENT}/connection-settings/?$": rest(get=f"{SEE_A} {SEE_S}"),
    f"{AGENT}/connection-settings/retry/?$": rest(post=f"{EDIT_A} {SEE_S}"),
    # Whoever has a signed address.
    "packages/<str:token>/<str:filename>": EntryPoint({None: PUBLIC}),
    # REST.
    "api/v1/^configuration-templates/?$": rest(get=SEE_C),
    "api/v1/^configuration-templates/(?P<name>[^/]+)/?$": rest(get=SEE_C),
    "api/v1/^packages/?$": rest(get=SEE_P, post="packages.add_package"),
    f"{PACKAGE}/?$": rest(get=SEE_P, patch=EDIT_P, delete="packages.delete_package"),
    f"{PACKAGE}/agents/?$": rest(get=f"{SEE_P} {SEE_A}"),
    f"{PACKAGE}/download/?$": rest(get=SEE_P),
    f"{PACKAGE}/versions/?$": rest(get=SEE_P, post="packages.add_package"),
    f"{PACKAGE}/versions/{NUMBER}/?$": rest(get=SEE_P, delete="packages.delete_package"),
    f"{PACKAGE}/versions/{NUMBER}/release/?$": rest(post=EDIT_P),
    f"{PACKAGE}/versions/{NUMBER}/files/?$": rest(post=EDIT_P, put=EDIT_P),
    f"{PACKAGE}/versions/{NUMBER}/files/(?P<file_id>[0-9]{{1,18}})/?$": rest(delete=EDIT_P),
    f"{AGENT}/installations/?$": rest(get=f"{SEE_A} {SEE_P}"),
    f"{AGENT}/installations/retry/?$": rest(post=f"{EDIT_A} {SEE_P}"),
    f"{CONFIGURATION}/rendered/?$": rest(get=f"{SEE_C} {SEE_A}"),
    f"{CONFIGURATION}/pipelines/?$": rest(get=SEE_C),
    f"{AGENT}/pipelines/?$": rest(get=SEE_A),
    "api/v1/^variables/?$": rest(get="variables.view_variable", post="variables.add_variable"),
    f"api/v1/^variables/(?P<pk>{VALUE_KEY})/?$": rest(
        get="variables.view_variable", put="variables.change_variable", patch="variables.change_variable",
        delete="variables.delete_variable",
    ),
    "api/v1/^secrets/?$": rest(get="variables.view_secret", post="variables.add_secret"),
    "api/v1/^secrets/(?P<name>[^/]+)/?$": rest(
        get="variables.view_secret", put="variables.change_secret", patch="variables.change_secret",
        delete="variables.delete_secret",
    ),
    f"{AGENT}/telemetry/?$": rest(get=SEE_A),
    **alert_entry_points(),
    "api/v1/^me/preferences/?$": rest(get="", patch=""),
    **{f"api/v1/^agents/summary/{part}/?$": rest(get=SEE_A) for part in ("history", "failures", "versions")},
    f"{AGENT}/approve/?$": rest(post=EDIT_A),
    f"{AGENT}/reject/?$": rest(post=EDIT_A),
    "api/v1/^agents/approve/?$": rest(post=EDIT_A),
    "api/v1/^agents/reject/?$": rest(post=EDIT_A),
    "api/v1/^enrolment-tokens/?$": rest(get="enrolment.view_enrolmenttoken", post="enrolment.add_enrolmenttoken"),
    f"api/v1/^enrolment-tokens/{KEY}/?$": rest(get="enrolment.view_enrolmenttoken"),
    f"api/v1/^enrolment-tokens/{KEY}/revoke/?$": rest(post="enrolment.change_enrolmenttoken"),
    f"{AGENT}/pause/?$": rest(get=SEE_A, put=EDIT_A, post=EDIT_A, delete=EDIT_A),
    f"{AGENT}/resume/?$": rest(post=EDIT_A),
    f"{AGENT}/pin/?$": rest(
        get=f"{SEE_A} {SEE_C}", put=f"{EDIT_A} {SEE_C}", post=f"{EDIT_A} {SEE_C}", delete=f"{EDIT_A} {SEE_C}"
    ),
    f"{AGENT}/unpin/?$": rest(post=f"{EDIT_A} {SEE_C}"),
    "api/v1/^certificates/?$": rest(get="certificates.view_agentcertificate"),
    f"api/v1/^certificates/{KEY}/?$": rest(get="certificates.view_agentcertificate"),
    **{
        f"api/v1/^certificates/{KEY}/{act}/?$": rest(post="certificates.change_agentcertificate")
        for act in ("approve", "deny", "revoke")
    },
    "api/v1/^freezes/?$": rest(get="rollouts.view_freeze", post="rollouts.add_freeze"),
    f"api/v1/^freezes/{KEY}/?$": rest(get="rollouts.view_freeze"),
    f"api/v1/^freezes/{KEY}/end/?$": rest(post="rollouts.change_freeze"),
    "api/v1/^rollouts/?$": rest(get="rollouts.view_rollout"),
    f"api/v1/^rollouts/{KEY}/?$": rest(get="rollouts.view_rollout"),
    f"api/v1/^rollouts/{KEY}/steps/?$": rest(get="rollouts.view_rollout"),
    f"api/v1/^rollouts/{KEY}/agents/?$": rest(get=f"rollouts.view_rollout {SEE_A}"),
    f"api/v1/^rollouts/{KEY}/approve/?$": rest(post="rollouts.approve_rollout"),
    **{
        f"api/v1/^rollouts/{KEY}/{act}/?$": rest(post="rollouts.change_rollout")
        for act in ("start", "pause", "resume", "abort", "roll-back", "roll_back")
    },
    # Whoever sees may plan; carrying out asks for the right of each step.
    "api/v1/^configurations:apply/?$": rest(post=SEE_C),
    "api/v1/^configurations:export/?$": rest(get=SEE_C),
    "api/v1/^configurations:adopt/?$": rest(get=f"{SEE_C} {SEE_A}", post=f"{ADD_C} {SEE_A}"),
    "api/v1/^agents/groups/?$": rest(get=SEE_A),
    "api/v1": EntryPoint({None: SIGNED_IN}),
    "api/v1/^": EntryPoint({None: SIGNED_IN}),
    "api/v1/^schema/?$": rest(get=""),
    "api/v1/^docs/?$": rest(get=""),
    "api/v1/^agents/?$": rest(get=SEE_A),
    "api/v1/^agents/summary/?$": rest(get=SEE_A),
    "api/v1/^agents/labels/?$": rest(post=EDIT_A),
    "api/v1/^agents/labels/preview/?$": rest(post=EDIT_A),
    "api/v1/^agents/restart/?$": rest(post=EDIT_A),
    f"{AGENT}/?$": rest(get=SEE_A, patch=EDIT_A, delete=DROP_A),
    f"{AGENT}/allow-enrolment/?$": rest(post=EDIT_A),
    f"{AGENT}/commands/?$": rest(get=SEE_A),
    f"{AGENT}/components/?$": rest(get=SEE_A),
    f"{AGENT}/configuration/?$": rest(get=f"{SEE_A} {SEE_C}"),
    f"{AGENT}/configuration/retry/?$": rest(post=f"{EDIT_A} {SEE_C}"),
    f"{AGENT}/connections/?$": rest(get=SEE_A),
    f"{AGENT}/custom-message/?$": rest(post=EDIT_A),
    f"{AGENT}/effective-config/?$": rest(get=SEE_A),
    f"{AGENT}/new-instance-uid/?$": rest(post=EDIT_A),
    f"{AGENT}/packages/?$": rest(get=SEE_A),
    f"{AGENT}/restart/?$": rest(post=EDIT_A),
    f"{AGENT}/revoke-credential/?$": rest(post=EDIT_A),
    f"{AGENT}/timeline/?$": rest(get=SEE_A),
    "api/v1/^compare/?$": rest(get=SEE_C),
    "api/v1/^configurations/?$": rest(get=SEE_C, post=ADD_C),
    "api/v1/^configurations/preview/?$": rest(post=f"{SEE_C} {SEE_A}"),
    f"{CONFIGURATION}/?$": rest(get=SEE_C, put=EDIT_C, patch=EDIT_C, delete=DROP_C),
    f"{CONFIGURATION}/agents/?$": rest(get=f"{SEE_C} {SEE_A}"),
    f"{CONFIGURATION}/preview/?$": rest(post=f"{SEE_C} {SEE_A}"),
    f"{CONFIGURATION}/revisions/(?P<number>[0-9]{{1,9}})/?$": rest(get=SEE_C),
    f"{CONFIGURATION}/revisions/?$": rest(get=SEE_C),
    f"{CONFIGURATION}/rollback/?$": rest(post=EDIT_C),
    f"{CONFIGURATION}/rollouts/?$": rest(
        get=f"{SEE_C} rollouts.view_rollout", post=f"{EDIT_C} rollouts.view_rollout"
    ),
    # The draft of a new configuration needs the right to add one.
    "api/v1/^drafts/?$": rest(get=SEE_C, post=ADD_C),
    f"{CONFIGURATION}/drafts/?$": rest(get=SEE_C, post=EDIT_C),
    **{
        f"{drafts}/{KEY}{what}/?$": rest(**needs)
        for drafts in ("api/v1/^drafts", f"{CONFIGURATION}/drafts")
        for what, needs in {
            "": {"get": SEE_C, "put": EDIT_C, "patch": EDIT_C, "delete": EDIT_C},
            "/publish": {"post": EDIT_C},
            "/rebase": {"post": EDIT_C},
        }.items()
    },
    "api/v1/^deleted-configurations/?$": rest(get=SEE_C),
    f"api/v1/^deleted-configurations/{KEY}/?$": rest(get=SEE_C, delete=DROP_C),
    f"api/v1/^deleted-configurations/{KEY}/restore/?$": rest(post=ADD_C),
    "api/v1/^jobs/?$": rest(get=""),
    f"api/v1/^jobs/{KEY}/?$": rest(get=""),
    f"api/v1/^jobs/{KEY}/results/?$": rest(get=""),
    f"api/v1/^jobs/{KEY}/file/?$": rest(get=""),
    f"api/v1/^jobs/{KEY}/cancel/?$": EntryPoint({None: SIGNED_IN}),
    f"api/v1/^jobs/{KEY}/retry/?$": EntryPoint({None: SIGNED_IN}),
    # Whoever sees may ask; which right it needs the action says.
    "api/v1/^agents:act/?$": rest(post=SEE_A),
    "api/v1/^agents:prune/?$": rest(post=DROP_A),
    "api/v1/^audit/?$": rest(get="accounts.view_auditentry"),
    "api/v1/^audit/(?P<pk>[0-9]{1,18})/?$": rest(get="accounts.view_auditentry"),
    "api/v1/^tokens/?$": rest(get="accounts.view_apitoken", post="accounts.add_apitoken"),
    "api/v1/^tokens/(?P<pk>[0-9]{1,18})/?$": rest(
        get="accounts.view_apitoken", delete="accounts.delete_apitoken"
    ),
}  # fmt: skip
