"""People, roles, tokens and the audit trail in the admin; signing in and out."""

from accounts.admin import people, tokens, trail

__all__ = ["people", "tokens", "trail"]
