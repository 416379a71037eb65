"""Origins and host names as browsers write them: which pages may speak OpAMP, and under which names the portal is known."""

from __future__ import annotations

import pytest

from opamp_transport.origins import Origin, host_problem, is_loopback, known_by, page_problem, parse_origin

BY_DEFAULT = known_by(("*",), (), ())
NAMED = known_by(("portal.example.com", ".fleet.example"), (), ())
LISTED = known_by(("*",), (), ("https://console.example.org", "https://*.tools.example"))
BEHIND_TLS = known_by(("*",), ("https://portal.example.com",), ())


class TestSpelling:
    @pytest.mark.parametrize(
        ("text", "origin"),
        [
            ("https://portal.example.com", Origin("https", "portal.example.com", 443)),
            ("HTTPS://Portal.Example.COM:443", Origin("https", "portal.example.com", 443)),
            ("http://portal.example.com.:8080", Origin("http", "portal.example.com", 8080)),
            ("http://[::1]", Origin("http", "[::1]", 80)),
            ("http://[0:0:0:0:0:0:0:1]:80", Origin("http", "[::1]", 80)),
            ("http://127.0.0.1:8080", Origin("http", "127.0.0.1", 8080)),
            ("http://a:1", Origin("http", "a", 1)),
            ("http://a:65535", Origin("http", "a", 65535)),
        ],
    )
    def test_one_origin_has_one_form(self, text: str, origin: Origin) -> None:
        assert parse_origin(text) == origin

    @pytest.mark.parametrize(
        "text",
        [
            "null", "", "portal.example.com", "file://", "https://", "https://a/b", "https://u@a", "https://a:0", "https://a:65536",
            "https://a:99999", "https://a:b", "chrome-extension://abcdef", "https://a https://b", "https://[::1",
            "https://[1.2.3.4.5]", "http://.",
        ],
    )  # fmt: skip
    def test_what_is_none(self, text: str) -> None:
        assert parse_origin(text) is None


class TestPages:
    @pytest.mark.parametrize(
        ("origin", "scheme", "host", "known"),
        [
            ("http://127.0.0.1:8080", "http", "127.0.0.1:8080", BY_DEFAULT),
            ("http://127.0.0.1:8080", "ws", "127.0.0.1:8080", BY_DEFAULT),
            ("http://localhost", "ws", "LOCALHOST:80", BY_DEFAULT),
            ("http://[::1]:8080", "http", "[0::1]:8080", BY_DEFAULT),
            ("https://10.1.2.3", "wss", "10.1.2.3:443", BY_DEFAULT),
            ("http://platform:8080", "ws", "platform:8080", BY_DEFAULT),
            ("https://PORTAL.example.com", "https", "portal.example.com.", NAMED),
            ("https://eu.fleet.example", "https", "eu.fleet.example", NAMED),
            # A proxy that ends TLS and is not trusted to say so: the setting says what the portal's pages are.
            ("https://portal.example.com", "http", "portal.example.com", BEHIND_TLS),
            ("https://console.example.org", "ws", "portal.example.com", LISTED),
            ("https://console.example.org:443", "ws", "127.0.0.1:8080", LISTED),
            ("https://a.tools.example", "ws", "127.0.0.1:8080", LISTED),
        ],
    )
    def test_whose_may_speak(self, origin: str, scheme: str, host: str, known: object) -> None:
        assert page_problem([origin], scheme=scheme, host=host, known=known) is None  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("origins", "scheme", "host", "known"),
        [
            (["https://evil.example"], "ws", "127.0.0.1:8080", BY_DEFAULT),
            (["null"], "ws", "127.0.0.1:8080", BY_DEFAULT),
            ([""], "ws", "127.0.0.1:8080", BY_DEFAULT),
            # Another port, another scheme: another program's page.
            (["http://127.0.0.1:3000"], "ws", "127.0.0.1:8080", BY_DEFAULT),
            (["https://127.0.0.1:8080"], "ws", "127.0.0.1:8080", BY_DEFAULT),
            (["http://127.0.0.1:8080", "https://evil.example"], "ws", "127.0.0.1:8080", BY_DEFAULT),
            (["http://127.0.0.1:8080", "http://127.0.0.1:8080"], "ws", "127.0.0.1:8080", BY_DEFAULT),
            # A page whose own name points here.
            (["http://evil.example:8080"], "ws", "evil.example:8080", BY_DEFAULT),
            (["http://evil.example:8080"], "ws", "evil.example:8080", NAMED),
            (["https://portal.example.com.evil.example"], "https", "portal.example.com.evil.example", NAMED),
            (["https://console.example.org.evil.example"], "ws", "127.0.0.1:8080", LISTED),
            (["http://console.example.org"], "ws", "127.0.0.1:8080", LISTED),
            (["https://tools.example"], "ws", "127.0.0.1:8080", LISTED),
            (["https://evil.example"], "ws", "", LISTED),
            # Before and behind the listed one in any order of letters and numbers.
            (["https://aaa.example.org"], "ws", "127.0.0.1:8080", LISTED),
            (["https://zzz.example.org"], "ws", "127.0.0.1:8080", LISTED),
            (["https://console.example.org:80"], "ws", "127.0.0.1:8080", LISTED),
            (["https://console.example.org:8443"], "ws", "127.0.0.1:8080", LISTED),
            ([], "ws", "127.0.0.1:8080", BY_DEFAULT),
        ],
    )
    def test_whose_may_not(self, origins: list[str], scheme: str, host: str, known: object) -> None:
        assert page_problem(origins, scheme=scheme, host=host, known=known)  # type: ignore[arg-type]

    def test_a_listed_page_comes_to_a_name_of_the_portal_where_they_are_named(self) -> None:
        known = known_by(("portal.example.com",), (), ("https://console.example.org",))
        said = page_problem(["https://console.example.org"], scheme="ws", host="evil.example", known=known)
        assert said is not None
        assert "ALLOWED_HOSTS" in said


class TestHosts:
    @pytest.mark.parametrize(
        "host", ["", "localhost:8080", "a.localhost", "127.0.0.1", "[::1]:4320", "192.0.2.7", "platform:8080"]
    )
    def test_names_that_no_page_of_others_can_have(self, host: str) -> None:
        assert host_problem(host, BY_DEFAULT) is None
        assert host_problem(host, NAMED) is None

    @pytest.mark.parametrize(
        "host", ["evil.example", "evil.example:8080", "two words", "127.0.0.1.evil.example", "localhost.evil.example"]
    )
    def test_others_are_refused_with_the_settings_name(self, host: str) -> None:
        said = host_problem(host, BY_DEFAULT)
        assert said is not None
        assert "ALLOWED_HOSTS" in said

    def test_the_portals_own_origins_name_it_too(self) -> None:
        assert host_problem("portal.example.com", BEHIND_TLS) is None
        below = known_by(("*",), ("https://*.own.example", "no origin"), ())
        assert host_problem("eu.own.example", below) is None
        assert host_problem("evil.example", below) is not None

    def test_a_star_beside_names_is_no_name(self) -> None:
        assert known_by(("*", "!strange", "Portal.Example."), (), ()).hosts == ("!strange", "portal.example")

    @pytest.mark.parametrize(
        "host", ["portal.example.com", "PORTAL.example.com.:443", "fleet.example", "a.b.fleet.example"]
    )
    def test_settings_name_the_portal(self, host: str) -> None:
        assert host_problem(host, NAMED) is None


class TestLoopback:
    @pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.1", "::1", "::1%lo", "::ffff:127.0.0.1"])
    def test_addresses_that_no_other_machine_reaches(self, address: str) -> None:
        assert is_loopback(address)

    @pytest.mark.parametrize("address", ["192.0.2.7", "::ffff:192.0.2.7", "fe80::1%eth0", "::", "0.0.0.0"])
    def test_others(self, address: str) -> None:
        assert not is_loopback(address)

    @pytest.mark.parametrize("address", ["localhost", "", "%lo"])
    def test_names_are_refused(self, address: str) -> None:
        with pytest.raises(ValueError, match="does not appear"):
            is_loopback(address)
