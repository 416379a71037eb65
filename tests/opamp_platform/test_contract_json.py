"""The contract with outside programs: what agents and configurations are as JSON, and what is done to them, over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from opamp_transport.proto import opamp_pb2
from tests.fake_agent import APPLIED, FAILED, FakeAgent, answered
from tests.live_server import LiveServer
from tests.opamp_platform.contract import ask, connected, heard, opened, tell

CONFIGURATIONS = "/api/v1/configurations"
AGENT = {
    "instance_uid": str, "name": str, "service_name": str, "version": str, "hostname": str, "os_type": str,
    "architecture": str, "status": str, "connected": bool, "transport": str, "remote_address": str, "labels": dict,
    "operator_labels": dict, "identifying_attributes": dict, "non_identifying_attributes": dict, "capabilities": list,
    "remote_config_status": dict, "sequence_num": int, "first_seen_at": str, "connected_at": str, "last_seen_at": str,
}  # fmt: skip
# What may be null as well.
UNSURE = {"healthy": bool, "in_sync": bool, "health": dict, "configuration": dict}


@pytest.fixture
def agent() -> FakeAgent:
    """With a label of its own."""
    agent = FakeAgent(region="us-east")
    agent.labels["only"] = str(agent.uid)
    return agent


def shown(server: LiveServer, agent: FakeAgent) -> dict[str, Any]:
    """The agent over REST."""
    found: dict[str, Any] = server.get(f"agents/{agent.uid}")
    return found


def offered(server: LiveServer, agent: FakeAgent, **fields: Any) -> dict[str, Any]:
    """A configuration for the agent alone."""
    name = fields.pop("name", f"for-{agent.uid}")
    body = {"name": name, "raw_config": "a: 1\n", "selector": {"only": agent.labels["only"]}, **fields}
    found: dict[str, Any] = server.post("configurations", body)
    return found


class TestAgent:
    def test_every_field_has_its_type(self, shared_portal: LiveServer, agent: FakeAgent) -> None:
        with connected(shared_portal, agent):
            detail = shown(shared_portal, agent)
            (listed,) = shared_portal.get(f"agents?search={agent.uid}")["results"]
        for found in (detail, listed):
            assert {name for name, kind in AGENT.items() if not isinstance(found[name], kind)} == set()
            assert {name for name, kind in UNSURE.items() if not isinstance(found[name], kind | None)} == set()
            for name in ("first_seen_at", "connected_at", "last_seen_at"):
                assert datetime.fromisoformat(found[name]).tzinfo is not None
        assert "effective_config" not in listed
        assert detail["effective_config"][""]["body"] == "receivers: {}\n"
        expected = {
            "instance_uid": str(agent.uid), "name": "otelcol", "service_name": "otelcol", "version": "0.120.0",
            "hostname": "web-1", "os_type": "linux", "architecture": "amd64", "status": "connected", "connected": True,
            "healthy": True, "in_sync": None, "transport": "websocket", "remote_address": "127.0.0.1",
            "operator_labels": {}, "configuration": None, "sequence_num": 0,
            "identifying_attributes": {"service.name": "otelcol", "service.version": "0.120.0"},
            "remote_config_status": {"status": "unset", "config_hash": "", "error_message": ""},
        }  # fmt: skip
        assert {name: detail[name] for name in expected} == expected
        assert detail["labels"]["region"] == detail["non_identifying_attributes"]["region"] == "us-east"
        assert {"ReportsStatus", "AcceptsRemoteConfig", "AcceptsRestartCommand"} <= set(detail["capabilities"])
        assert detail["health"]["healthy"] is True

    def test_what_an_agent_never_said_is_null_or_empty(self, shared_portal: LiveServer) -> None:
        agent = FakeAgent(capabilities=1)
        empty = opamp_pb2.AgentDescription()
        parts = {"health": None, "effective_config": None, "remote_config_status": None, "agent_description": empty}
        with connected(shared_portal, agent, **parts):
            found = shown(shared_portal, agent)
        nothing: dict[str, Any] = {
            "service_name": "", "version": "", "hostname": "", "os_type": "", "architecture": "", "healthy": None,
            "health": None, "in_sync": None, "configuration": None, "effective_config": None, "labels": {},
            "identifying_attributes": {}, "non_identifying_attributes": {}, "capabilities": ["ReportsStatus"],
        }  # fmt: skip
        assert {name: found[name] for name in nothing} == nothing

    def test_the_five_steps(self, shared_portal: LiveServer, agent: FakeAgent) -> None:
        configuration = offered(shared_portal, agent)
        with connected(shared_portal, agent) as socket:
            first = shown(shared_portal, agent)
            assert (first["status"], first["in_sync"]) == ("configuring", False)
            named = {"name": configuration["name"], "revision": 1, "hash": configuration["config_hash"]}
            assert first["configuration"] == named
            config_hash = bytes.fromhex(configuration["config_hash"])
            tell(socket, agent, remote_config_status=answered(config_hash, FAILED, "no such exporter"))
            failed = shown(shared_portal, agent)
            assert (failed["status"], failed["in_sync"]) == ("error", False)
            assert failed["remote_config_status"] == {
                "status": "failed",
                "config_hash": configuration["config_hash"],
                "error_message": "no such exporter",
            }
            tell(socket, agent, remote_config_status=answered(config_hash, APPLIED))
            applied = shown(shared_portal, agent)
            assert (applied["status"], applied["in_sync"]) == ("connected", True)
            (member,) = shared_portal.get(f"configurations/{configuration['name']}/agents")["results"]
            assert (member["instance_uid"], member["status"]) == (str(agent.uid), "applied")
            tell(socket, agent, agent_disconnect=opamp_pb2.AgentDisconnect())
        gone = shared_portal.eventually(
            lambda: (found := shown(shared_portal, agent))["status"] == "disconnected" and found
        )
        assert (gone["connected"], gone["connected_at"]) == (False, applied["connected_at"])

    def test_what_operators_say_is_patched(self, shared_portal: LiveServer, agent: FakeAgent) -> None:
        url = f"/api/v1/agents/{agent.uid}"
        with connected(shared_portal, agent):
            edit = {"name": "Edge", "notes": "in the cellar", "operator_labels": {"region": "eu"}}
            said = ask(shared_portal, "PATCH", url, edit)
            assert (said.status, {name: said.json[name] for name in edit}) == (200, edit)
            assert said.json["labels"]["region"] == "eu"
            assert said.json["non_identifying_attributes"]["region"] == "us-east"
            assert ask(shared_portal, "PATCH", url, {"name": ""}).json["name"] == "otelcol"
            refused = ask(shared_portal, "PATCH", url, {"hostname": "other"})
            assert (refused.status, list(refused.json["errors"])) == (400, ["hostname"])
        assert ask(shared_portal, "DELETE", url).status == 204
        assert ask(shared_portal, "GET", url).status == 404

    def test_what_stands_below_an_agent(self, shared_portal: LiveServer, agent: FakeAgent) -> None:
        configuration = offered(shared_portal, agent)
        url = f"agents/{agent.uid}"
        with connected(shared_portal, agent) as socket:
            kinds = {line["kind"] for line in shared_portal.get(f"{url}/timeline")["results"]}
            assert {"registered", "connected"} <= kinds
            assert shared_portal.get(f"{url}/effective-config")[""]["body"] == "receivers: {}\n"
            why = shared_portal.get(f"{url}/configuration")
            assert (why["name"], why["revision"], why["status"]) == (configuration["name"], 1, "offered")
            assert configuration["name"] in {item["name"] for item in why["candidates"]}
            tell(socket, agent, remote_config_status=answered(bytes.fromhex(configuration["config_hash"]), APPLIED))
            said = ask(shared_portal, "POST", f"/api/v1/{url}/restart")
            assert (said.status, said.json["kind"]) == (202, "restart")
            assert heard(socket).command.type == opamp_pb2.CommandType_Restart

    def test_the_list_is_paged_filtered_searched_and_ordered(self, shared_portal: LiveServer) -> None:
        three = [FakeAgent(wing="list", seat=seat) for seat in "abc"]
        for one in three:
            with connected(shared_portal, one):
                ask(shared_portal, "PATCH", f"/api/v1/agents/{one.uid}", {"name": f"seat {one.labels['seat']}"})
        query = "agents?label=wing%3Dlist&ordering=-name"
        first = shared_portal.get(f"{query}&page_size=2")
        assert (first["count"], [item["name"] for item in first["results"]]) == (3, ["seat c", "seat b"])
        assert first["previous"] is None
        second = shared_portal.get(first["next"].removeprefix(shared_portal.url))
        assert ([item["name"] for item in second["results"]], second["next"]) == (["seat a"], None)
        assert shared_portal.get(f"{query}&search=seat%20b")["count"] == 1
        assert shared_portal.get(f"{query}&os_type=windows")["count"] == 0

    def test_the_summary_counts_by_status_version_and_os(self, shared_portal: LiveServer, agent: FakeAgent) -> None:
        with connected(shared_portal, agent):
            summary = shared_portal.get("agents/summary")
        assert set(summary["status"]) == {"connected", "disconnected", "configuring", "error"}
        assert summary["total"] == sum(summary["status"].values()) == shared_portal.get("agents")["count"]
        assert summary["version"]["0.120.0"] >= 1
        assert summary["os_type"]["linux"] >= 1
        assert sum(summary["version"].values()) == sum(summary["os_type"].values()) == summary["total"]


class TestConfiguration:
    def test_the_first_call_of_the_contract(self, shared_portal: LiveServer) -> None:
        body = {
            "name": "prod-config", "display_name": "Production", "description": "", "content_type": "yaml",
            "raw_config": "receivers:\n  otlp:\n    protocols:\n      grpc:\n        endpoint: 0.0.0.0:4317\n",
            "selector": {"env": "prod", "region": "us-east"},
        }  # fmt: skip
        said = ask(shared_portal, "POST", CONFIGURATIONS, body)
        assert said.status == 201
        found = said.json
        assert {name: found[name] for name in body} == {**body, "content_type": "text/yaml"}
        assert (found["priority"], found["enabled"], found["revision"], found["matched_agents"]) == (0, True, 1, 0)
        assert bytes.fromhex(found["config_hash"])
        assert datetime.fromisoformat(found["created_at"]) <= datetime.fromisoformat(found["updated_at"])
        assert ask(shared_portal, "POST", CONFIGURATIONS, body).status == 409

    @pytest.mark.parametrize(
        ("said", "sent", "text"),
        [
            ("yaml", "text/yaml", "a: 1\n"),
            ("json", "application/json", '{"a": 1}'),
            ("text/yaml", "text/yaml", "a: 1\n"),
            ("application/x-yaml", "application/x-yaml", "a: 1\n"),
            ("text/plain", "text/plain", "anything"),
        ],
    )
    def test_a_content_type_is_a_word_or_a_mime_type(
        self, shared_portal: LiveServer, agent: FakeAgent, said: str, sent: str, text: str
    ) -> None:
        offered(shared_portal, agent, content_type=said, raw_config=text)
        files = self.files_sent(shared_portal, agent)
        assert {key: (file.content_type, file.body.decode()) for key, file in files.items()} == {"": (sent, text)}

    def test_a_configuration_is_a_map_of_files(self, shared_portal: LiveServer, agent: FakeAgent) -> None:
        files = {"main": {"body": "a: 1\n"}, "more": {"body": "{}", "content_type": "application/json"}}
        found = offered(shared_portal, agent, config_key="main", files=files, raw_config="a: 1\n")
        assert (found["config_key"], found["raw_config"], set(found["files"])) == ("main", "a: 1\n", {"main", "more"})
        sent = self.files_sent(shared_portal, agent)
        assert {key: file.body for key, file in sent.items()} == {"main": b"a: 1\n", "more": b"{}"}
        alone = offered(shared_portal, agent, name=f"{agent.uid}-key", config_key="x", enabled=False)
        assert (set(alone["files"]), alone["files"]["x"]["body"]) == ({"x"}, "a: 1\n")

    def files_sent(self, server: LiveServer, agent: FakeAgent) -> dict[str, Any]:
        """What the agent is offered."""
        with opened(server) as socket:
            message = tell(socket, agent, **agent.full_parts())
        return dict(message.remote_config.config.config_map)

    @pytest.mark.parametrize(
        ("selector", "matches"),
        [
            ({"kind": "one"}, True),
            ({"kind": "one", "region": "nowhere"}, False),
            ({"matchLabels": {"kind": "one"}}, True),
            ({"matchExpressions": [{"key": "os.type", "operator": "In", "values": ["linux", "aix"]}]}, True),
            ({"matchExpressions": [{"key": "os.type", "operator": "In", "values": ["aix"]}]}, False),
            ({"matchExpressions": [{"key": "os.type", "operator": "NotIn", "values": ["aix"]}]}, True),
            ({"matchExpressions": [{"key": "os.type", "operator": "NotIn", "values": ["linux"]}]}, False),
            ({"matchExpressions": [{"key": "region", "operator": "Exists"}]}, True),
            ({"matchExpressions": [{"key": "region", "operator": "DoesNotExist"}]}, False),
            ({"matchExpressions": [{"key": "gpu", "operator": "DoesNotExist", "values": []}]}, True),
            ({"matchExpressions": [{"key": "service.version", "operator": "Gt", "values": ["0.99.0"]}]}, True),
            ({"matchExpressions": [{"key": "service.version", "operator": "Gt", "values": ["0.120.0"]}]}, False),
            ({"matchExpressions": [{"key": "service.version", "operator": "Lt", "values": ["0.121"]}]}, True),
            ({"matchExpressions": [{"key": "service.version", "operator": "Lt", "values": ["0.99.0"]}]}, False),
        ],
    )
    def test_selectors_in_both_styles_with_every_operator(
        self, shared_portal: LiveServer, selector: dict[str, Any], matches: bool
    ) -> None:
        agent = FakeAgent(kind="one", region="us-east")
        with connected(shared_portal, agent):
            preview = shared_portal.post("configurations/preview", {"raw_config": "a: 1\n", "selector": selector})
            assert (str(agent.uid) in self.matched(shared_portal, selector)) is matches, preview
            assert (preview["matched"] > 0) >= matches

    def matched(self, server: LiveServer, selector: dict[str, Any]) -> set[str]:
        """Who gets a configuration with this selector that is stronger than all others."""
        name = "strongest"
        server.post("configurations", {"name": name, "raw_config": "a: 1\n", "selector": selector, "priority": 99})
        try:
            return {
                item["instance_uid"] for item in server.get(f"configurations/{name}/agents?page_size=500")["results"]
            }
        finally:
            assert ask(server, "DELETE", f"{CONFIGURATIONS}/{name}").status == 204

    @pytest.mark.parametrize(("match_all", "reaches"), [(False, False), (True, True)])
    def test_an_empty_selector_matches_nothing_unless_all_are_meant(
        self, shared_portal: LiveServer, agent: FakeAgent, match_all: bool, reaches: bool
    ) -> None:
        with connected(shared_portal, agent):
            asked = {"raw_config": "a: 1\n", "selector": {}, "match_all": match_all}
            assert bool(shared_portal.post("configurations/preview", asked)["matched"]) is reaches

    def test_the_highest_priority_wins_and_then_the_name(self, shared_portal: LiveServer, agent: FakeAgent) -> None:
        with connected(shared_portal, agent):
            for name, priority, winner in (("m", 0, "m"), ("n", 0, "m"), ("l", 0, "l"), ("z", 1, "z"), ("a", -1, "z")):
                offered(shared_portal, agent, name=f"{name}-{agent.uid}", priority=priority)
                assert shown(shared_portal, agent)["configuration"]["name"] == f"{winner}-{agent.uid}"

    def test_it_is_read_and_changed_by_name_and_every_edit_can_be_undone(
        self, shared_portal: LiveServer, agent: FakeAgent
    ) -> None:
        name = offered(shared_portal, agent)["name"]
        url = f"{CONFIGURATIONS}/{name}"
        assert shared_portal.get(f"configurations?search={name}")["count"] == 1
        assert ask(shared_portal, "PATCH", url, {"display_name": "D"}).json["display_name"] == "D"
        put = ask(shared_portal, "PUT", url, {"raw_config": "b: 1\n", "selector": {"only": agent.labels["only"]}}).json
        assert (put["revision"], put["display_name"], put["raw_config"]) == (2, "", "b: 1\n")
        assert [item["number"] for item in ask(shared_portal, "GET", f"{url}/revisions").json["results"]] == [2, 1]
        assert ask(shared_portal, "GET", f"{url}/revisions/1").json["files"][""]["body"] == "a: 1\n"
        assert ask(shared_portal, "GET", f"{url}/revisions/9").status == 404
        with connected(shared_portal, agent):
            preview = ask(shared_portal, "POST", f"{url}/preview", {"selector": {"only": "nobody"}}).json
            assert (preview["matched"], preview["lost"]) == (0, 1)
        undone = ask(shared_portal, "POST", f"{url}/rollback", {"revision": 1}).json
        assert (undone["revision"], undone["raw_config"]) == (3, "a: 1\n")
        assert undone["matched_agents"] == 1
        assert ask(shared_portal, "DELETE", url).status == 204
        assert ask(shared_portal, "GET", url).status == 404


@pytest.fixture(scope="module", autouse=True)
def _agents_are_told_apart(shared_portal: LiveServer) -> Iterator[None]:
    """Nothing is left that would reach agents of all tests."""
    yield
    assert not [item for item in shared_portal.get("configurations?page_size=500")["results"] if item["match_all"]]
