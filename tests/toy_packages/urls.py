"""One resource more."""

from uuid import UUID

from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from opamp_platform.urls import urlpatterns as _portal
from tests.toy_packages.opamp import install_again


class InstallAgain(APIView):
    permission_classes = []

    def post(self, request: Request, uid: UUID) -> Response:
        install_again(uid)
        return Response(status=202)


urlpatterns = [path("api/v1/toy/<uuid:uid>/install", InstallAgain.as_view()), *_portal]
