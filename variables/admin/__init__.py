"""Variables and secrets in the admin; importing it registers the pages."""

from variables.admin.pages import SecretAdmin, VariableAdmin

__all__ = ["SecretAdmin", "VariableAdmin"]
