"""`decode_report`: health, configurations, packages and components, each kept as it was reported."""

from __future__ import annotations

import math
from typing import Any

import pytest

from agents.reports import (
    AvailableComponents,
    ConnectionSettingsStatus,
    RemoteConfigStatus,
    RemoteConfigStatuses,
)
from opamp_transport.proto import opamp_pb2
from opamp_transport.protocol.messages import decode_report
from tests.opamp_transport.protocol.wire import (
    key_values,
    length_delimited,
    report_body,
    varint,
)


class TestHealth:
    @pytest.mark.rule("S-71", "S-72")
    def test_the_whole_tree_is_kept_and_the_root_is_typed(self) -> None:
        exporter = opamp_pb2.ComponentHealth(
            healthy=False,
            last_error="no route\x00",
            attributes=key_values({"retries": 3}),
            status_time_unix_nano=2**64 - 1,
        )
        root = opamp_pb2.ComponentHealth(
            healthy=True,
            status="StatusOK",
            start_time_unix_nano=7,
            component_health_map={"exporter:otlp": exporter},
        )
        health = decode_report(report_body(health=root)).health
        assert health is not None
        assert (health.healthy, health.status, health.last_error) == (True, "StatusOK", "")
        assert (health.start_time_unix_nano, health.status_time_unix_nano) == (7, 0)
        assert health.tree == {
            "healthy": True,
            "status": "StatusOK",
            "start_time_unix_nano": 7,
            "components": {
                "exporter:otlp": {
                    "healthy": False,
                    "last_error": "no route\ufffd",
                    "status_time_unix_nano": 2**64 - 1,
                    "attributes": {"retries": 3},
                }
            },
        }


class TestConfigurations:
    @pytest.mark.rule("S-68", "S-69")
    @pytest.mark.parametrize(
        ("file", "kept"),
        [
            ({"body": b"a: 1\n"}, {"body": "a: 1\n"}),
            ({"body": b""}, {"body": ""}),
            (
                {"body": "名: 值".encode(), "content_type": "text/yaml", "role": "supplementary"},
                {"body": "名: 值", "content_type": "text/yaml", "role": "supplementary"},
            ),
            ({"body": b"\xff\xfe"}, {"body_base64": "//4="}),
            ({"body": b"a\x00b", "content_type": "x\x00"}, {"body_base64": "YQBi", "content_type": "x\ufffd"}),
        ],
    )
    def test_effective_files_are_kept_as_reported(self, file: dict[str, Any], kept: dict[str, str]) -> None:
        files = {"": opamp_pb2.AgentConfigObject(**file), "b.yaml": opamp_pb2.AgentConfigObject(body=b"b")}
        effective = opamp_pb2.EffectiveConfig(config_map=opamp_pb2.AgentConfigMap(config_map=files))
        report = decode_report(report_body(effective_config=effective))
        assert report.effective_config is not None
        assert report.effective_config.files == {"": kept, "b.yaml": {"body": "b"}}

    @pytest.mark.rule("S-64", "S-112")
    @pytest.mark.parametrize(
        ("number", "status"), [*((int(status), status) for status in RemoteConfigStatuses), (4, 0), (99, 0), (-1, 0)]
    )
    def test_remote_config_status(self, number: int, status: int) -> None:
        wire = opamp_pb2.RemoteConfigStatus(last_remote_config_hash=b"\x00h", error_message="e\x00")
        body = report_body(remote_config_status=wire) + _appended_status(7, number)
        kept = RemoteConfigStatus(b"\x00h", RemoteConfigStatuses(status), "e\ufffd")
        assert decode_report(body).remote_config_status == kept

    @pytest.mark.rule("S-81", "S-112")
    @pytest.mark.parametrize(("number", "status"), [(0, 0), (1, 1), (2, 2), (3, 3), (4, 0), (99, 0), (-1, 0)])
    def test_connection_settings_status(self, number: int, status: int) -> None:
        wire = opamp_pb2.ConnectionSettingsStatus(last_connection_settings_hash=b"h", error_message="e")
        body = report_body(connection_settings_status=wire) + _appended_status(15, number)
        assert decode_report(body).connection_settings_status == ConnectionSettingsStatus(b"h", status, "e")


def _appended_status(field: int, number: int) -> bytes:
    """A second occurrence of a status message, merged into the first by protobuf; sets ``status``, which is field 2."""
    return length_delimited(field, b"\x10" + varint(number % 2**64))


class TestPackages:
    @pytest.mark.rule("S-92")
    def test_statuses_are_kept_whole(self) -> None:
        wire = opamp_pb2.PackageStatuses(
            packages={
                "": opamp_pb2.PackageStatus(agent_has_version="1.0", agent_has_hash=b"\x01\xff"),
                "plugin": opamp_pb2.PackageStatus(
                    name="plugin",
                    server_offered_version="2.0",
                    server_offered_hash=b"\x02",
                    status="PackageStatusEnum_Downloading",
                    error_message="slow",
                    download_details=opamp_pb2.PackageDownloadDetails(
                        download_percent=12.5, download_bytes_per_second=math.inf
                    ),
                ),
            },
            server_provided_all_packages_hash=b"\xab",
            error_message="late",
        )
        assert decode_report(report_body(package_statuses=wire)).package_statuses == {
            "packages": {
                "": {
                    "version": "1.0",
                    "hash": "01ff",
                    "server_offered_version": "",
                    "server_offered_hash": "",
                    "status": "Installed",
                    "error_message": "",
                },
                "plugin": {
                    "version": "",
                    "hash": "",
                    "server_offered_version": "2.0",
                    "server_offered_hash": "02",
                    "status": "Downloading",
                    "error_message": "slow",
                    "download_percent": 12.5,
                    "download_bytes_per_second": "Infinity",
                },
            },
            "server_provided_all_packages_hash": "ab",
            "error_message": "late",
        }

    @pytest.mark.rule("S-92", "S-112")
    def test_an_unknown_status_is_not_installed(self) -> None:
        # packages {"p": {status: 9}}
        statuses = decode_report(report_body() + bytes.fromhex("42090a070a017012023009")).package_statuses
        assert statuses is not None
        packages: Any = statuses["packages"]
        assert packages["p"]["status"] == "Unknown"


class TestComponents:
    @pytest.mark.rule("S-40", "S-99")
    def test_components_recurse(self) -> None:
        otlp = opamp_pb2.ComponentDetails(metadata=key_values({"code.namespace": "otlp"}))
        wire = opamp_pb2.AvailableComponents(
            hash=b"h", components={"receivers": opamp_pb2.ComponentDetails(sub_component_map={"otlp": otlp})}
        )
        assert decode_report(report_body(available_components=wire)).available_components == AvailableComponents(
            b"h", {"receivers": {"components": {"otlp": {"metadata": {"code.namespace": "otlp"}}}}}
        )

    @pytest.mark.rule("S-40", "S-98")
    def test_a_hash_alone_says_nothing_of_the_components(self) -> None:
        wire = opamp_pb2.AvailableComponents(hash=b"h")
        assert decode_report(report_body(available_components=wire)).available_components == AvailableComponents(
            b"h", None
        )
