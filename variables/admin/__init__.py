"""Variables and secrets in the admin; importing it registers the pages."""

from variables.admin.value_pages import SecretAdmin, VariableAdmin

__all__ = ["SecretAdmin", "VariableAdmin"]
