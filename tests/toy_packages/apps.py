"""Registers the toy packages."""

from django.apps import AppConfig


class ToyPackagesConfig(AppConfig):
    name, label = "tests.toy_packages", "toy_packages"

    def ready(self) -> None:
        from agents.extensions import TimelineKind, register_timeline_kind
        from agents.services.offers import register_offer
        from tests.toy_packages.opamp import PackageOffer

        register_offer(PackageOffer)
        register_timeline_kind(TimelineKind("toy_package", "Package", "Package {name} {status}".format_map, "good"))
