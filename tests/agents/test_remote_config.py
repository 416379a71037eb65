"""`config_hash` depends on the content of a configuration and on nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.remote_config import ConfigFile, RemoteConfig

files = st.builds(ConfigFile, st.binary(max_size=4), st.text("ab", max_size=2), st.text("ab", max_size=2))
maps = st.dictionaries(st.text("ab", max_size=2), files, max_size=3)


@pytest.mark.rule("S-59")
class TestConfigHash:
    def test_it_is_a_sha_256(self) -> None:
        assert len(RemoteConfig({"": ConfigFile(b"a: 1\n", "text/yaml")}).config_hash()) == 32

    def test_it_stays_the_same_between_releases(self) -> None:
        """Another hash for the same content would offer every configuration of a fleet once more."""
        config = RemoteConfig({"b": ConfigFile(b"x", "text/yaml", "main"), "": ConfigFile(b"")})
        assert config.config_hash().hex() == "e63d70a5826a51f768fc7b924e045623a434ac67bb9371b089f1f2b15af30112"

    def test_order_does_not_matter(self) -> None:
        one, two = ConfigFile(b"1"), ConfigFile(b"2")
        assert RemoteConfig({"a": one, "b": two}).config_hash() == RemoteConfig({"b": two, "a": one}).config_hash()

    @pytest.mark.parametrize(
        "other",
        [
            {},
            {"key": ConfigFile(b"bodies", "type", "role")},
            {"key": ConfigFile(b"body", "types", "role")},
            {"key": ConfigFile(b"body", "type", "roles")},
            {"keys": ConfigFile(b"body", "type", "role")},
            {"key": ConfigFile(b"bodyt", "ype", "role")},
            {"keyb": ConfigFile(b"ody", "type", "role")},
            {"key": ConfigFile(b"body", "type", "role"), "": ConfigFile(b"")},
        ],
    )
    def test_every_field_counts(self, other: dict[str, ConfigFile]) -> None:
        assert (
            RemoteConfig(other).config_hash()
            != RemoteConfig({"key": ConfigFile(b"body", "type", "role")}).config_hash()
        )

    @given(maps, maps)
    def test_hashes_are_equal_exactly_when_the_maps_are(
        self, one: dict[str, ConfigFile], two: dict[str, ConfigFile]
    ) -> None:
        assert (RemoteConfig(one).config_hash() == RemoteConfig(two).config_hash()) is (one == two)

    @pytest.mark.rule("S-67", "S-68")
    def test_no_file_and_an_empty_key_are_legal(self) -> None:
        assert RemoteConfig({}).config_hash() != RemoteConfig({"": ConfigFile(b"")}).config_hash()
