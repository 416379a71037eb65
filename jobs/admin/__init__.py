"""Jobs in the admin."""

from django.contrib import admin
from django_tasks_db.admin import DBTaskResult  # its admin, which is registered by then

from jobs.admin.job_pages import JobAdmin

__all__ = ["JobAdmin"]

# What people should see of the library's tasks stands on their jobs.
admin.site.unregister(DBTaskResult)
