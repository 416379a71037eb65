"""What is counted of listeners; `opamp_platform.operations.metrics` serves it together with the rest."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

SOCKETS = Gauge("opamp_live_sockets", "Open pages and programs that listen to changes.", multiprocess_mode="livesum")
HINTS = Counter("opamp_live_hints", "Messages about changes that were sent to them.")
REFUSED = Counter("opamp_live_refusals", "Those that were refused before the upgrade, by status.", ["status"])
EVICTED = Counter("opamp_live_closed", "Those that were closed by the portal, by code.", ["code"])
