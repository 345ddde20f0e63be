from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from yarl import URL

from tuwen.fetching.guard import _PLAIN, Guard, _checked, checked_url, origin_of

GUARD = Guard(())


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://Example.COM", "http://example.com/"),
        ("  HTTPS://example.com:443/a b?q=ü#top\n", "https://example.com/a%20b?q=%C3%BC"),
        ("http://example.com:80/", "http://example.com/"),
        ("http://example.com:8080/%41%2f?a=%zz", "http://example.com:8080/%41%2f?a=%zz"),
        ("http://example.com./x", "http://example.com/x"),
        ("http://图片.例子.中国/图.jpg", "http://xn--wcsw84d.xn--fsqu00a.xn--fiqs8s/%E5%9B%BE.jpg"),
        ("http://BÜCHER.example/", "http://xn--bcher-kva.example/"),
        ("http://a_b.example/~x/(1),[2]|'3'!$&*+;=:@", "http://a_b.example/~x/(1),[2]|'3'!$&*+;=:@"),
        ('http://h.example/"<>`{}^', "http://h.example/%22%3C%3E%60%7B%7D%5E"),
        ("http://h.example?x={1}", "http://h.example/?x={1}"),
        ("http://8.8.8.8/", "http://8.8.8.8/"),
        ("http://8.8.8.8./", "http://8.8.8.8/"),
        ("http://[2606:4700:0:0::1111]:8443/", "http://[2606:4700::1111]:8443/"),
    ],
)
def test_urls_are_normalised(url: str, expected: str) -> None:
    assert checked_url(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/relative.jpg",
        "//example.com/x.jpg",
        "example.com/x.jpg",
        "ftp://example.com/x.jpg",
        "file:///etc/passwd",
        "data:image/png;base64,AAAA",
        "javascript:alert(1)",
        "http:///x.jpg",
        "http://",
        "http:/example.com/x",
        "http://user@example.com/",
        "http://user:secret@example.com/",
        "http://@example.com/",
        "http://example.com@10.0.0.1/",
        "http://example.com\\@10.0.0.1/",
        "http:\\\\example.com/",
        "http://example.com/a\r\nHost: other",
        "http://exa\tmple.com/",
        "http://example.com/\x00x",
        "http://example.com:0/",
        "http://example.com:65536/",
        "http://example.com:80:90/",
        "http://example.com:-1/",
        "http://exa mple.com/",
        "http://example..com/",
        "http://.example.com/",
        "http://example.com../",
        "http://" + "a" * 64 + ".com/",
        "http://" + "a." * 130 + "com/",
        "http://example.com/" + "a" * 8000,
        "http://example.com/" + "图" * 1000,
        "http://example.com/\ud800",
        "http://\ud800.com/",
        "http://[fe80::1%25eth0]/",
        "http://[fe80::1%eth0]/",
        "http://[::1/",
        "http://[::1]x/",
        "http://[1.2.3.4]/",
        "http://[vF.x]/",
        "http://exa%6dple.com/",
    ],
)
def test_urls_are_refused(url: str) -> None:
    assert checked_url(url) is None


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1.",
        "127.0.0.1..",
        "127.1",
        "127.0.1",
        "2130706433",
        "017700000001",
        "0177.0.0.1",
        "0x7f.0.0.1",
        "0x7f000001",
        "0x7F000001",
        "127.0.0.0x1",
        "0",
        "00000000177.0.0.1",
        "127.0.0.1%00.example.com",
        "%31%32%37.0.0.1",
        "１２７.０.０.１",
        "127。0。0。1",
        "①②⑦.0.0.1",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[::ffff:0:127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[64:ff9b:1::a00:1]",
        "[2002:7f00:1::]",
        "[2002:a00:1::1]",
        "[2001:0:7f00:1::]",
        "[fe80::1]",
        "[fd00::1]",
        "[ff02::1]",
        "10.0.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "172.31.255.255",
        "192.168.1.1",
        "198.18.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
    ],
)
def test_no_notation_leads_to_a_special_address(host: str) -> None:
    checked = checked_url(f"http://{host}/")
    if checked is not None:
        literal = urlsplit(checked).hostname
        assert literal is not None and ipaddress.ip_address(literal)  # or it would be asked for as a name
        assert not GUARD.allows(literal)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00::1"])
def test_public_addresses_are_allowed(address: str) -> None:
    assert GUARD.allows(address)


@pytest.mark.parametrize("text", ["", "example.com", "8.8.8.8 ", "8.8.8", "0x8.8.8.8", "2a00::1%eth0", "8.8.8.8/32"])
def test_what_is_no_plain_address_is_not_allowed(text: str) -> None:
    assert not Guard(("0.0.0.0/0", "::/0")).allows(text)


def test_networks_can_be_allowed() -> None:
    guard = Guard(("127.0.0.0/8", "fd00::/8"))
    assert guard.allows("127.0.0.1") and guard.allows("fd00::1") and guard.allows("8.8.8.8")
    assert not guard.allows("10.0.0.1") and not guard.allows("::1")
    assert not guard.allows("::ffff:127.0.0.1"), "only what is named is allowed"


@given(st.ip_addresses(v=4))
@example(ipaddress.IPv4Address("192.0.0.1"))
def test_nothing_private_is_public(address: ipaddress.IPv4Address) -> None:
    if (
        address.is_private
        or address.is_multicast
        or address.is_reserved
        or address.is_loopback
        or address.is_link_local
    ):
        assert not GUARD.allows(str(address))
    embedded = int(address)
    for prefix in ("::ffff:0:0", "64:ff9b::", "::"):
        assert not GUARD.allows(str(ipaddress.IPv6Address(int(ipaddress.IPv6Address(prefix)) + embedded)))


HOSTS = st.text("0123456789abcfx.:%[]@-_ \\/?#１。é\u00ad\u200b", max_size=24)


@given(st.one_of(st.text(max_size=60), st.builds("http://{}/a".format, HOSTS), st.builds("https://{}".format, HOSTS)))
@example("http://a:/")
@example("http://h:80[::1]/")
def test_all_readers_agree_about_a_checked_url(url: str) -> None:
    checked = checked_url(url)
    if checked is None:
        return
    assert checked_url(checked) == checked and checked.isascii() and checked.isprintable() and " " not in checked
    ours, theirs = urlsplit(checked), URL(checked, encoded=True)
    assert ours.hostname == theirs.raw_host
    assert (theirs.scheme, theirs.user, theirs.password) == (ours.scheme, None, None)
    assert theirs.host is not None and ours.hostname is not None
    if ":" not in ours.hostname:
        try:
            packed = socket.inet_aton(ours.hostname)  # reads every notation there is
        except OSError:
            return
        assert socket.inet_ntoa(packed) == ours.hostname


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://example.com/x:1", "http://example.com:80"),
        ("https://example.com/?a@b", "https://example.com:443"),
        ("https://example.com:8443/", "https://example.com:8443"),
        ("http://[2606:4700::1111]/", "http://[2606:4700::1111]:80"),
        ("http://[2606:4700::1111]:81/", "http://[2606:4700::1111]:81"),
    ],
)
def test_an_origin_names_its_port(url: str, origin: str) -> None:
    assert origin_of(url) == origin
    assert checked_url(origin + "/robots.txt") is not None


LABELS = st.text("abz0189-", min_size=1, max_size=63)
PATHS = st.text("aZ09!$&'()*+,./:;=@_~-", max_size=40)


@given(st.sampled_from(["http", "https"]), st.lists(LABELS, min_size=2, max_size=4), PATHS)
@example("http", ["a", "0x7f"], "")
@example("http", ["1", "2", "3", "4"], "")
def test_what_looks_plain_is_checked_already(scheme: str, labels: list[str], path: str) -> None:
    url = f"{scheme}://{'.'.join(labels)}/{path}"
    assert not _PLAIN.fullmatch(url) or _checked(url) == url
    assert _PLAIN.fullmatch(url) or not labels[-1][0].isalpha()
