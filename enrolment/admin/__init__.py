"""Enrolment in the admin: `tokens` are the list and the page of one, `connecting` the page that connects an agent.

`approving` has the acts on agents that wait for approval, and the filters for them.
"""

from enrolment.admin import approving
from enrolment.admin.tokens import EnrolmentTokenAdmin

__all__ = ["EnrolmentTokenAdmin"]

approving.register()
