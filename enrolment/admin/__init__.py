"""Enrolment in the admin."""
