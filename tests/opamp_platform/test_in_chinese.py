"""What the lower layers say reaches a Chinese reader in Chinese, and everybody else, rows and logs in English."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone, translation

from agents.models import Agent, AgentCommand, AgentEvent
from agents.services import commands, editing
from configurations.checks import check_text
from configurations.models import Configuration
from configurations.services.edit_errors import StaleRevision
from configurations.services.publishing import InvalidConfiguration

pytestmark = pytest.mark.django_db
CONFIGURATIONS = "/admin/configurations/configuration/"
AGENTS = "/admin/agents/agent/"
FORM = {
    "name": "prod-config",
    "enabled": "on",
    "priority": "0",
    "selector": '{"env": "prod"}',
    "content_type": "yaml",
    "raw_config": "a: 1\n",
}
ZH = {"HTTP_ACCEPT_LANGUAGE": "zh-CN,zh;q=0.9"}
BROKEN = "receivers:\n  otlp: {}\n  otlp: {}\n"


@pytest.fixture
def reader(client: Any, alice: Any) -> Any:
    client.force_login(alice)
    client.defaults.update(ZH)
    return client


@pytest.fixture
def english(client: Any, alice: Any) -> Any:
    client.force_login(alice)
    return client


class TestAdmin:
    def test_problems_while_typing(self, reader):
        found = reader.post(CONFIGURATIONS + "problems/", {**FORM, "raw_config": BROKEN}).json()
        assert "键 &quot;otlp&quot; 已出现在第 2 行；请移除其中一个。" in found["html"]
        unreadable = reader.post(CONFIGURATIONS + "problems/", {**FORM, "content_type": "spreadsheet"}).json()
        assert "请使用 yaml、json、toml 或 MIME 类型" in unreadable["html"]

    def test_selectors_while_typing(self, reader):
        for typed, said in [
            ('{"env": ', "既不是 JSON 也不是 YAML：请检查第 1 行。"),
            ('{"env": 1.5}', "env：小数作为标签有歧义；请加上引号。"),
            ("3", "选择器是一个 JSON 对象"),
        ]:
            assert said in reader.post(CONFIGURATIONS + "reach/", {**FORM, "selector": typed}).json()["html"]

    def test_errors_of_the_form(self, reader):
        body = reader.post(CONFIGURATIONS + "add/", {**FORM, "raw_config": BROKEN}).content.decode()
        assert "第 3 行，第 3 列：键 &quot;otlp&quot; 已出现在第 2 行" in body
        assert "既不是 JSON" in reader.post(CONFIGURATIONS + "add/", {**FORM, "selector": '{"env": '}).content.decode()

    def test_warnings_and_targeting_before_and_after_publishing(self, reader):
        fragment = {**FORM, "raw_config": "receivers: {nop: }"}
        page = reader.post(CONFIGURATIONS + "add/", fragment).content.decode()
        assert "第 1 行，第 1 列：其中任何内容都不会运行" in page
        confirmed = {**fragment, "stage": "publish", "shown_count": "0"}
        done = reader.post(CONFIGURATIONS + "add/", confirmed, follow=True).content.decode()
        assert "第 1 行，第 1 列：其中任何内容都不会运行" in done
        row = Configuration.objects.get()
        edited = {**FORM, "selector": "", "match_all": "on", "expected_revision": "1"}
        assert "<td>所有 Agent</td>" in reader.post(f"{CONFIGURATIONS}{row.pk}/change/", edited).content.decode()

    def test_why_an_agent_has_its_configuration(self, reader, report):
        reader.post(CONFIGURATIONS + "add/", {**FORM, "selector": "", "stage": "publish", "shown_count": "0"})
        body = reader.get(f"{AGENTS}{report(env='prod').pk}/change/").content.decode()
        assert "✖ 无 Agent" in body

    def test_search_and_labels(self, reader, report):
        agent = report(env="prod")
        body = reader.get(AGENTS, {"q": "env in (prod"}).content.decode()
        assert "第 13 个字符：值列表中应为 , 或 )，实际为：查询结尾。" in body
        body = reader.post(f"{AGENTS}{agent.pk}/change/", {"label_lines": "a b=c"}).content.decode()
        assert "a b：只能使用字母、数字和 _ . - / @" in body

    def test_what_cannot_be_done_to_an_agent(self, reader, report):
        agent = report(env="prod")
        body = reader.post(f"/admin/configurations/configuration/retry/{agent.pk}/", follow=True).content.decode()
        assert f"没有为 {agent} 分配配置。" in body
        Agent.objects.update(capabilities=1)
        body = reader.post(f"{AGENTS}{agent.pk}/restart/", follow=True).content.decode()
        assert "不接受重启命令（未声明能力 AcceptsRestartCommand）。" in body

    def test_english_is_what_it_was(self, english):
        found = english.post(CONFIGURATIONS + "problems/", {**FORM, "raw_config": BROKEN}).json()
        assert "The key &quot;otlp&quot; already stands in line 2; remove one of the two." in found["html"]


class TestApi:
    URL = "/api/v1/configurations"

    def post(self, client: Any, body: dict[str, Any]) -> Any:
        return client.post(self.URL, {"name": "c", **body}, content_type="application/json", **ZH)

    def test_findings_and_errors(self, english):
        problem = self.post(english, {"raw_config": BROKEN, "selector": {"a": 1.5}, "content_type": "yaml"}).json()
        assert problem["detail"] == "配置无效。"
        assert problem["errors"]["selector"] == ["a：小数作为标签有歧义；请加上引号。"]
        assert problem["errors"]["raw_config"] == ['第 3 行，第 3 列：键 "otlp" 已出现在第 2 行；请移除其中一个。']
        (finding,) = problem["findings"]
        assert finding == {
            "severity": "error",
            "kind": "syntax",
            "code": "repeated-key",
            "message": '键 "otlp" 已出现在第 2 行；请移除其中一个。',
            "file": "",
            "line": 3,
            "column": 3,
            "path": "receivers.otlp",
        }

    def test_warnings_of_what_was_saved(self, english):
        files = {"": {"body": "a: 1"}, "more.yaml": {"body": ""}}
        saved = self.post(english, {"files": files, "selector": {}}).json()["warnings"]
        assert [item["file"] for item in saved] == ["more.yaml", ""]
        assert saved[0]["message"] == "文件为空：Agent 将在没有配置的情况下运行。"
        assert saved[1]["message"] == "目前没有已知的 Agent 匹配该选择器；暂时没有 Agent 会收到它。"
        assert self.post(english, {"raw_config": "a: 1"}).json()["errors"] == {"name": ["已有名为 'c' 的配置。"]}

    def test_stale_edits(self, english):
        self.post(english, {"raw_config": "a: 1"})
        stale = english.patch(
            f"{self.URL}/c", {"priority": 1}, content_type="application/json", HTTP_IF_MATCH='"7"', **ZH
        ).json()
        assert stale["detail"] == "其间有人编辑了该配置：请查看变化后重新编辑。"
        stale = english.patch(f"{self.URL}/c", {"revision": 7}, content_type="application/json", **ZH).json()
        assert stale["detail"] == "此次编辑基于修订 7，但当前修订是 1：请查看变化后重新编辑。"

    def test_label_filters_and_labels(self, english, report):
        agent = report(env="prod")
        problem = english.get("/api/v1/agents", {"label": "=x"}, **ZH).json()
        assert problem["detail"] == "选择器无效（第 1 个字符）。"
        assert problem["errors"] == {"label": ["第 1 个字符：此处应为标签的键，实际为：=。"]}
        url = f"/api/v1/agents/{agent.instance_uid}"
        wrong = english.patch(url, {"operator_labels": {"a b": "c"}}, content_type="application/json", **ZH).json()
        assert wrong["errors"]["operator_labels"]["a b"][0].startswith("只能使用字母")
        Agent.objects.update(capabilities=1)
        assert (
            "不接受重启命令" in english.post(f"{url}/restart", content_type="application/json", **ZH).json()["detail"]
        )
        many = english.post("/api/v1/agents/restart", {"match_all": True}, content_type="application/json", **ZH).json()
        assert many["skipped_agents"][0]["reason"].startswith("该 Agent 不接受重启命令")

    def test_bodies_that_are_no_json(self, english):
        answer = english.post(self.URL, "{", content_type="application/json", **ZH).json()
        assert (
            answer["detail"]
            == "请求体不是 JSON：Expecting property name enclosed in double quotes：第 1 行，第 2 列（字符 1）"
        )
        twice = english.post(self.URL, '{"a": 1, "a": 2}', content_type="application/json", **ZH).json()
        assert twice["detail"] == "请求体不是 JSON：名称 'a' 在同一对象中出现了两次"

    def test_without_a_language_it_is_english(self, english):
        answer = english.post(self.URL, "{", content_type="application/json").json()
        assert answer["detail"] == (
            "The body is not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"
        )


class TestBelowTheDoors:
    def test_errors_are_english_text_for_logs_whatever_the_language(self):
        with translation.override("zh-hans"):
            assert str(StaleRevision(expected=1, current=2)).startswith("This edit is based on revision 1")
            findings = check_text(BROKEN, "yaml")
            assert str(findings[0].message) == 'The key "otlp" already stands in line 2; remove one of the two.'
            said = InvalidConfiguration({"raw_config": [finding.message for finding in findings]})
            assert str(said) == f"raw_config: {findings[0].message!s}"
            assert str(editing.CannotBeForgotten()).startswith("The agent's credential is revoked")

    def test_rows_hold_no_translation(self, report):
        agent = report(env="prod")
        with translation.override("zh-hans"), pytest.raises(commands.CannotBeSent):
            commands.send_custom_message(
                agent, capability="none", message_type="", data=b"", by=None, at=timezone.now()
            )
        assert not AgentCommand.objects.exists()
        assert all(character < "一" for row in AgentEvent.objects.all() for character in str(row.data))
