"""Personal data in a text: addresses and numbers that belong to somebody."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from ipaddress import ip_address

import pyarrow as pa
import pyarrow.compute as pc

# Only texts that hold an @ or enough digits are looked at one by one.
_SUSPECT = r"@|＠|(?:\p{Nd}[^\p{L}\p{Nd}]{0,3}){4}|[0-9A-Fa-f]{1,4}:[0-9A-Fa-f:]*:"
_EMAIL = re.compile(r"(?<![\w.+@/-])([\w.+-]{1,64})@((?:[a-z0-9-]{1,63}\.)+[a-z]{2,24})(?![\w@-]|:\S)", re.I)
_NO_DOMAIN = re.compile(
    r"\.(?:png|jpe?g|gif|svg|webp|avif|ico|css|js|py|html|md|example|test|invalid|local|localhost)$"
)
_EXAMPLES = re.compile(r"(?:^|\.)example\.(?:com|net|org)$", re.I)
_IPV4 = re.compile(r"(?<![\w.-])(?:\d{1,3}\.){3}\d{1,3}(?![\w-]|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?![\w:])", re.I)
_VERSION = re.compile(r"(?:\bv|\bver\.?|version|release|build|firmware|版本|バージョン|版)[ :=]*$", re.I)
_CARD = re.compile(
    r"(?<![\w.,+-])(?:\d{13,19}|\d{4}([ -])\d{4}\1\d{4}\1\d{1,7}|\d{4}([ -])\d{6}\2\d{5})(?![\w-]|[.,]\d)"
)
_ISSUERS = re.compile(r"4|5[1-5]|2[2-7]|3[47]|6(?:011|4[4-9]|5|2)|35|30[0-5]|3[68]")
_CHINESE_ID = re.compile(r"(?<![\dA-Za-z])[1-9]\d{16}[\dXx](?![\dA-Za-z])")
_WEIGHTS, _CHECKS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2), "10X98765432"
_RANGES = ((11, 15), (21, 23), (31, 37), (41, 46), (50, 54), (61, 65), (71, 71), (81, 83))
_PROVINCES = frozenset(str(code) for first, last in _RANGES for code in range(first, last + 1))
_DIGITS = r"(?:[ .-]?\(?\d\)?)"
_PHONE = re.compile(
    r"(?<![\w.+/=#-])(?:\+[1-9](?:[ .-]?\(?\d\)?){7,14}"  # international
    r"|(?:\+?86[- ]?)?1[3-9]\d(?:\d{8}|[- ]\d{4}[- ]\d{4})"  # Chinese mobile
    r"|\(?0\d{2,3}[)-] ?\d{7,8}|400-\d{3,4}-\d{3,4}"  # Chinese landline
    r"|\(\d{3}\) ?\d{3}-\d{4}|[2-9]\d{2}([.-])[2-9]\d{2}\1\d{4}"  # North American
    r")(?![\w-]|[.,]\d)"
)
_OTHER = re.compile(r"(?:isbn|issn|doi|sku|\bid)[ :#-]*$", re.I)
_CALLED = re.compile(
    r"(?<!\w)(?:tel|phone|telephone|fax|mobile|cell|call|whatsapp|telefon|téléphone|tél|teléfono|тел|телефон|هاتف"
    r"|电话|電話|手机|手機|热线|传真|联系方式|전화)\.?(?: us| me| at| number| no\.?)*[ :：]*"
    rf"(\+?\(?\d{_DIGITS}{{6,14}})(?![\w-]|[.,]\d)",
    re.I,
)


@dataclass(frozen=True)
class Personal:
    """How much personal data a text holds, by forms that leave little doubt: precision comes before recall.

    `num_emails`        e-mail addresses; none in `icon@2x.png`, `git@host:path` or example.com
    `num_phones`        phone numbers: international with +, Chinese and North American ones in their usual grouping,
                        any other after a word such as tel, phone, 电话
    `num_ip_addresses`  public IPv4 and IPv6 addresses; no versions, no private or reserved ranges
    `num_cards`         payment card numbers: a known issuer, usual grouping, right check digit (Luhn, ISO/IEC 7812-1)
    `num_chinese_ids`   resident identity numbers: a province, a date of birth, right check character (GB 11643)

    A number counts once, as the first that it is of identity, card and phone. Null where the text is null. Filters that
    look for such forms: https://arxiv.org/abs/2308.10755 (WanJuan), https://arxiv.org/abs/2506.20920 (FineWeb2, e-mail
    and IP addresses).
    """

    table = "pairs"
    reads = ("text",)
    writes = pa.schema(
        [
            (name, pa.int32())
            for name in ("num_emails", "num_phones", "num_ip_addresses", "num_cards", "num_chinese_ids")
        ]
    )

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        text = batch["text"].cast(pa.string())
        suspect = pc.fill_null(pc.match_substring_regex(text, _SUSPECT), False)
        found = [count_personal(value) for value in text.filter(suspect).to_pylist()]
        zeros = pc.if_else(pc.is_valid(text), 0, None).cast(pa.int32())
        arrays = [
            pc.replace_with_mask(zeros, suspect, pa.array(column, pa.int32())) for column in zip(*found, strict=True)
        ]
        return pa.record_batch(arrays or [zeros] * len(self.writes), schema=self.writes)


def count_personal(text: str) -> tuple[int, int, int, int, int]:
    """E-mail addresses, phones, IP addresses, cards, Chinese identity numbers."""
    text = text.translate(_ASCII)
    num_emails = sum(map(_is_email, _EMAIL.finditer(text)))
    num_addresses = sum(map(_is_address, _IPV4.finditer(text))) + sum(map(_is_address, _IPV6.finditer(text)))
    num_ids, text = _take(_CHINESE_ID, _is_chinese_id, text)
    num_cards, text = _take(_CARD, _is_card, text)
    num_phones, text = _take(_PHONE, _is_phone, text)
    num_called, text = _take(_CALLED, _is_phone, text)
    return num_emails, num_phones + num_called, num_addresses, num_cards, num_ids


_ASCII = {0xFF01 + offset: 0x21 + offset for offset in range(94)} | {0x3000: " ", 0xA0: " ", 0x2011: "-", 0x2013: "-"}


def _take(pattern: re.Pattern[str], check: Callable[[re.Match[str]], bool], text: str) -> tuple[int, str]:
    """How many matches hold, and the text without these."""
    spans = [match.span() for match in pattern.finditer(text) if check(match)]
    for start, end in reversed(spans):
        text = f"{text[:start]} {text[end:]}"
    return len(spans), text


def _is_email(match: re.Match[str]) -> bool:
    name, domain = match[1].lower(), match[2].lower()
    return not (_NO_DOMAIN.search(domain) or _EXAMPLES.search(domain) or name in ("git", "user", "name"))


def _is_address(match: re.Match[str]) -> bool:
    try:
        address = ip_address(match[0])
    except ValueError:
        return False
    if not address.is_global or _VERSION.search(match.string[max(0, match.start() - 20) : match.start()]):
        return False
    return address.version == 6 or sum(len(part) > 1 for part in match[0].split(".")) >= 2  # 1.2.3.4 is a version


def _numbers(match: re.Match[str]) -> Iterator[int]:
    return (int(character) for character in match[0] if character.isdecimal())


def _is_card(match: re.Match[str]) -> bool:
    digits = list(_numbers(match))
    doubled = (digit if place % 2 == 0 else 2 * digit - 9 * (digit > 4) for place, digit in enumerate(reversed(digits)))
    issued = _ISSUERS.match("".join(map(str, digits))) is not None
    return issued and len(digits) >= 13 and len(set(digits)) > 2 and sum(doubled) % 10 == 0


def _is_chinese_id(match: re.Match[str]) -> bool:
    number = match[0].upper()
    try:
        date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return False
    total = sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, number, strict=False))
    return number[:2] in _PROVINCES and "1900" <= number[6:10] <= "2099" and number[17] == _CHECKS[total % 11]


def _is_phone(match: re.Match[str]) -> bool:
    before = match.string[max(0, match.start() - 20) : match.start()]
    return len(set(_numbers(match))) > 2 and not _OTHER.search(before)
