"""Labels and well-known facts from attributes, and the validation of operator labels."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.labels import (
    DescribedFacts,
    InvalidLabels,
    attribute_text,
    facts_of,
    label_key_problem,
    labels_of,
    validate_labels,
)
from agents.reports import AgentDescription, Json

COLLECTOR = AgentDescription(
    identifying_attributes={
        "service.name": "io.opentelemetry.collector",
        "service.version": "0.120.0",
        "service.instance.id": "7e5a",
    },
    non_identifying_attributes={
        "host.name": "node-7",
        "host.arch": "arm64",
        "os.type": "linux",
        "os.description": "Debian 12",
        "env": "prod",
    },
)


class TestAttributeText:
    @pytest.mark.defect(10)
    @pytest.mark.parametrize(
        ("value", "text"),
        [
            ("prod", "prod"),
            ("", ""),
            (True, "true"),
            (False, "false"),
            (7, "7"),
            (-1, "-1"),
            (1.5, "1.5"),
            (None, None),
            (["a", 1, None], '["a",1,null]'),
            ({"zone": "东", "on": True}, '{"zone":"东","on":true}'),
            ({}, "{}"),
        ],
    )
    def test_each_reported_type_has_its_text(self, value: Json, text: str | None) -> None:
        assert attribute_text(value) == text


class TestLabelsOf:
    def test_both_attribute_maps_are_labels(self) -> None:
        labels = labels_of(COLLECTOR, {})
        assert labels["service.version"] == "0.120.0"
        assert labels["env"] == "prod"
        assert len(labels) == 8

    def test_the_operator_wins(self) -> None:
        assert labels_of(COLLECTOR, {"env": "staging", "team": "x"}) == labels_of(COLLECTOR, {}) | {
            "env": "staging",
            "team": "x",
        }

    def test_the_identifying_attribute_wins_over_the_other(self) -> None:
        described = AgentDescription(identifying_attributes={"a": "1"}, non_identifying_attributes={"a": "2"})
        assert labels_of(described, {}) == {"a": "1"}

    def test_a_null_neither_is_a_label_nor_hides_one(self) -> None:
        described = AgentDescription({"a": None, "b": None}, {"a": "kept"})
        assert labels_of(described, {}) == {"a": "kept"}

    def test_an_agent_that_never_described_itself_has_its_operator_labels(self) -> None:
        assert labels_of(None, {"env": "prod"}) == {"env": "prod"}

    @pytest.mark.defect(10)
    def test_an_attribute_no_longer_reported_is_gone(self) -> None:
        later = AgentDescription(COLLECTOR.identifying_attributes, {"os.type": "linux"})
        assert "env" not in labels_of(later, {})


class TestFactsOf:
    @pytest.mark.defect(10)
    def test_host_and_system_are_found_among_the_non_identifying_attributes(self) -> None:
        assert facts_of(COLLECTOR) == DescribedFacts(
            service_name="io.opentelemetry.collector",
            service_version="0.120.0",
            service_instance_id="7e5a",
            hostname="node-7",
            architecture="arm64",
            os_type="linux",
            os_description="Debian 12",
        )

    def test_the_identifying_attribute_is_looked_for_first(self) -> None:
        described = AgentDescription({"host.name": "first"}, {"host.name": "second"})
        assert facts_of(described).hostname == "first"

    @pytest.mark.parametrize("empty", [None, ""])
    def test_an_empty_identifying_attribute_does_not_hide_the_other(self, empty: Json) -> None:
        described = AgentDescription({"host.name": empty}, {"host.name": "second"})
        assert facts_of(described).hostname == "second"

    def test_values_that_are_no_strings_become_text(self) -> None:
        assert facts_of(AgentDescription({"service.version": 3}, {})).service_version == "3"

    def test_nothing_described_is_empty_text(self) -> None:
        assert facts_of(None) == DescribedFacts() == facts_of(AgentDescription({}, {}))


class TestValidateLabels:
    @pytest.mark.parametrize(
        "key", ["env", "os.type", "k8s.pod.name", "team/x", "app.kubernetes.io/part-of", "_x", "9", "环境", "k" * 255]
    )
    def test_keys_that_agents_and_clusters_use_are_kept(self, key: str) -> None:
        assert validate_labels({key: ""}) == {key: ""}

    @pytest.mark.parametrize(
        "key", ["", " ", "a b", " a", "-a", "a=b", "a,b", "!a", "a>b", "a:b", 'a"', "a\n", "a\x00", "k" * 256]
    )
    def test_keys_that_queries_could_not_name_are_refused(self, key: str) -> None:
        with pytest.raises(InvalidLabels) as refused:
            validate_labels({key: "x"})
        assert len(refused.value.errors) == 1

    @pytest.mark.parametrize("value", [None, 1, True, ["x"], {}, "x" * 1025, "a\x00b", "a\nb", "\ud800"])
    def test_values_that_are_no_writable_text_are_refused(self, value: object) -> None:
        with pytest.raises(InvalidLabels) as refused:
            validate_labels({"env": value})
        assert [key for key, _ in refused.value.errors] == ["env"]

    def test_the_longest_value_is_kept(self) -> None:
        assert validate_labels({"env": "x" * 1024})["env"] == "x" * 1024

    def test_every_wrong_label_is_named(self) -> None:
        with pytest.raises(InvalidLabels) as refused:
            validate_labels({"good": "x", "a b": "x", "env": None, 5: "x"})
        assert [key for key, _ in refused.value.errors] == ["a b", "env", "5"]
        assert "env: A label value must be text; put it in quotes." in str(refused.value)

    def test_an_unwritable_key_is_quoted_back_writable(self) -> None:
        with pytest.raises(InvalidLabels) as refused:
            validate_labels({"a\ud800\x00": "x"})
        assert refused.value.errors[0][0] == "a\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}"

    def test_an_agent_has_at_most_128_labels(self) -> None:
        assert len(validate_labels({f"k{n}": "" for n in range(128)})) == 128
        with pytest.raises(InvalidLabels) as refused:
            validate_labels({f"k{n}": "" for n in range(129)})
        assert refused.value.errors[0][0] == ""
        assert "129 labels" in str(refused.value.errors[0][1])

    @given(st.dictionaries(st.text() | st.integers(), st.text() | st.none() | st.integers()))
    def test_any_map_is_kept_unchanged_or_refused(self, labels: dict[object, object]) -> None:
        try:
            assert validate_labels(labels) == labels
        except InvalidLabels as refused:
            str(refused).encode()


class TestLabelKeyProblem:
    @pytest.mark.parametrize("key", ["a b", "a=b", "process.command_args[0]", "-a"])
    def test_reported_attribute_names_are_wider_than_operator_keys(self, key: str) -> None:
        assert label_key_problem(key) is None
