"""What can be watched: a class for each kind of rule, by its name. Each is one cheap query; none knows states or receivers."""

from alerts.rule_kinds.agents_failing import ConfigurationFailed, Drifted, Unhealthy
from alerts.rule_kinds.agents_gone import AgentsGone, FleetDropped
from alerts.rule_kinds.base import AgentKind, AlertKind
from alerts.rule_kinds.configurations_unmatched import ConfigurationUnmatched
from alerts.rule_kinds.expiring import Expiring
from alerts.rule_kinds.rollouts_stopped import RolloutStopped

KINDS: dict[str, AlertKind] = {
    kind.name: kind
    for kind in (
        AgentsGone(),
        Unhealthy(),
        ConfigurationFailed(),
        RolloutStopped(),
        Drifted(),
        Expiring(),
        FleetDropped(),
        ConfigurationUnmatched(),
    )
}
"""In the order in which people choose from them."""

__all__ = ["KINDS", "AgentKind", "AlertKind"]
