"""Personal data: what is one, and what only looks like one."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuwen.stages.text.personal import Personal, count_personal

NAMES = ("emails", "phones", "ip_addresses", "cards", "chinese_ids")


def counted(text: str) -> dict[str, int]:
    return {name: count for name, count in zip(NAMES, count_personal(text), strict=True) if count}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Write to jane.doe+x@mail.university.edu, or bob@firma.de.", {"emails": 2}),
        ("邮箱：zhang_san@163.com", {"emails": 1}),
        ("联系ｚｈａｎｇ＠ｑｑ．ｃｏｍ", {"emails": 1}),
        ("Call +49 30 901820 or +1 (212) 555-0187", {"phones": 2}),
        ("手机13812345678", {"phones": 1}),
        ("138 1234 5678", {"phones": 1}),
        ("电话：010-62781234", {"phones": 1}),
        ("Tel. 030 1234567", {"phones": 1}),
        ("(212) 555-0187", {"phones": 1}),
        ("212-555-0187", {"phones": 1}),
        ("Тел: 8 495 123-45-67", {"phones": 1}),
        ("logged from 93.184.216.34 yesterday", {"ip_addresses": 1}),
        ("at 2606:2800:220:1:248:1893:25c8:1946.", {"ip_addresses": 1}),
        ("card 4111 1111 1111 1112", {}),  # check digit
        ("card 4539 1488 0343 6467", {"cards": 1}),
        ("378282246310005", {"cards": 1}),
        ("身份证 11010519491231002X", {"chinese_ids": 1}),
        ("11010519491231002x", {"chinese_ids": 1}),
        ("110105194912310021", {}),  # check character
    ],
)
def test_found(text: str, found: dict[str, int]) -> None:
    assert counted(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "icon@2x.png",
        "git@github.com:user/repo.git",
        "you@example.com",
        "@handle and me @ home",
        "version 10.12.14.16",
        "v93.184.216.34",
        "libfoo 1.2.3.4",
        "Chrome 120.0.6099.109",
        "192.168.178.20 and 127.0.0.1, 10.0.0.12",
        "2024-01-02 12:34:56",
        "01:23:45:67:89:ab",
        "std::vector::iterator",
        "ISBN 978-3-16-148410-0",
        "ISBN 9783161484100",
        "1,234,567,890 people",
        "2001-2010, pp. 1234-5678",
        "3.14159265358979",
        "12345678901234567890",
        "order 20231231123456",
        "0x1234567890",
        "1920 x 1080, 3840x2160",
        "10 20 30 40 50 60 70 80",
        "RGB(255, 255, 255)",
        "Fig. 12-345-6789",
        "1111 1111 1111 1111",
        "doi:10.1145/956750.956785",
        "1700000000000",
        "",
    ],
)
def test_hard_negatives(text: str) -> None:
    assert counted(text) == {}


def test_a_number_counts_once() -> None:
    assert counted("电话 11010519491231002X") == {"chinese_ids": 1}


def test_batches() -> None:
    texts = pa.array(["nothing", None, "bob@firma.de", "", "no digits @"], pa.string())
    found = Personal()(pa.record_batch({"text": texts}))
    assert found["num_emails"].to_pylist() == [0, None, 1, 0, 0]
    assert found["num_cards"].to_pylist() == [0, None, 0, 0, 0]


@given(st.text())
def test_any_text(text: str) -> None:
    assert all(count >= 0 for count in count_personal(text))


@given(st.text("0123456789 .-+()@:xX", max_size=200))
def test_what_looks_like_numbers(text: str) -> None:
    count_personal(text)


def test_the_prefilter_lets_through_what_counts() -> None:
    texts = ["13812345678", "93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "11010519491231002X", "a@firma.de"]
    found = Personal()(pa.record_batch({"text": texts})).to_pylist()
    assert [sum(row.values()) for row in found] == [1] * 5
