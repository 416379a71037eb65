"""API token authentication for DRF."""

from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import DjangoModelPermissions as ModelPermissions

__all__ = ["ApiTokenAuthentication", "ModelPermissions"]


class ApiTokenAuthentication(BaseAuthentication):
    pass
