"""What can be watched: a class for each kind of rule, by its name. Each is one cheap query; none knows states or receivers."""

from alerts.kinds.agents_failing import ConfigurationFailed, Drifted, Unhealthy
from alerts.kinds.agents_gone import AgentsGone, FleetDropped
from alerts.kinds.base import AgentKind, AlertKind
from alerts.kinds.configurations_unmatched import ConfigurationUnmatched
from alerts.kinds.expiring import Expiring
from alerts.kinds.rollouts_stopped import RolloutStopped

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
