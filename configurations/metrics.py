"""What configurations count; `opamp_platform.operations.metrics` serves it together with the rest."""

from __future__ import annotations

from prometheus_client import Counter

OFFERS = Counter("opamp_offers", "Configuration offers sent, by how they came about.", ["occasion"])
