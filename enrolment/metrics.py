"""What enrolment counts; `opamp_platform.operations.metrics` serves it together with the rest."""

from __future__ import annotations

from prometheus_client import Counter

ENROLLED = Counter("opamp_enrolled_agents", "Agents that an enrolment token brought, each token's agents once.")
TOKEN_REFUSALS = Counter("opamp_enrolment_refusals", "Enrolment tokens that let nobody in, by reason.", ["reason"])
