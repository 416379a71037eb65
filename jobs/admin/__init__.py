"""Jobs in the admin."""

from django.contrib import admin
from django_tasks_db.admin import DBTaskResultAdmin
from django_tasks_db.models import DBTaskResult

from jobs.admin.job_pages import JobAdmin

__all__ = ["DBTaskResultAdmin", "JobAdmin"]

# Theirs is registered once it is imported. What people should see of the library's tasks stands on their jobs.
admin.site.unregister(DBTaskResult)
