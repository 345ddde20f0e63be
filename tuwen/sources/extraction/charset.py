"""Which encoding a page is written in, as browsers decide it, and more forgiving where the declaration is wrong.

Order: byte-order mark, valid UTF-8, HTTP header, `<meta>` and XML declaration, detection on a bounded sample,
windows-1252. A declaration that the bytes contradict is passed over. <https://encoding.spec.whatwg.org/>
"""

from __future__ import annotations

import codecs
import re
from contextlib import suppress
from functools import lru_cache

_BYTE_ORDER_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_PRESCAN_BYTES = 4096  # browsers look at 1024; generators put long comments first
_SAMPLE_BYTES = 8192
# A page whose declared encoding fails for more than this share of its non-ASCII characters is not written in it.
_BAD_SHARE = 0.05

# WHATWG labels whose Python codec has another name or is too narrow for what pages hold.
_CODECS = {
    **dict.fromkeys(("gb2312", "gbk", "gb18030", "x-gbk", "chinese", "gb_2312-80", "csgb2312"), "gb18030"),
    **dict.fromkeys(("big5", "big5-hkscs", "cn-big5", "x-x-big5", "csbig5"), "big5hkscs"),
    **dict.fromkeys(("shift_jis", "shift-jis", "sjis", "x-sjis", "ms_kanji", "windows-31j", "ms932"), "cp932"),
    **dict.fromkeys(("euc-jp", "x-euc-jp"), "euc_jp"),
    **dict.fromkeys(("euc-kr", "ks_c_5601-1987", "ksc5601", "ksc_5601", "windows-949", "korean"), "cp949"),
    **dict.fromkeys(("ascii", "us-ascii", "iso-8859-1", "iso8859-1", "latin1", "l1", "ansi"), "cp1252"),
    **dict.fromkeys(("iso_8859-1", "x-cp1252", "cp819", "windows-1252"), "cp1252"),
    **dict.fromkeys(("iso-8859-9", "iso8859-9", "latin5", "x-cp1254"), "cp1254"),
    **dict.fromkeys(("iso-8859-11", "tis-620", "dos-874", "windows-874"), "cp874"),
    **dict.fromkeys(("iso-8859-8-i", "logical"), "iso8859_8"),
    **dict.fromkeys(("utf-16", "utf-16le", "utf-16be", "unicode"), "utf-8"),  # read as ASCII, it is not UTF-16
    **dict.fromkeys(("utf8", "unicode-1-1-utf-8", "x-unicode20utf8"), "utf-8"),
    **dict.fromkeys(("x-mac-roman", "macintosh", "mac"), "mac_roman"),
    **dict.fromkeys(("x-mac-cyrillic", "x-mac-ukrainian"), "mac_cyrillic"),
    "x-cp1250": "cp1250",
    "x-cp1251": "cp1251",
    "x-cp1253": "cp1253",
    **dict.fromkeys(("euc_jis_2004", "euc_jisx0213"), "euc_jp"),
    **dict.fromkeys(("shift_jis_2004", "shift_jisx0213"), "cp932"),
    "hz-gb-2312": "hz",
    "koi": "koi8_r",
    "koi8": "koi8_r",
    "koi8-ru": "koi8_u",
}
_NAMES = {
    "big5hkscs": "big5",
    "cp932": "shift_jis",
    "euc_jp": "euc-jp",
    "cp949": "euc-kr",
    "mac_roman": "macintosh",
    "mac_cyrillic": "x-mac-cyrillic",
    "koi8_r": "koi8-r",
    "koi8_u": "koi8-u",
    "utf-16-le": "utf-16le",
    "utf-16-be": "utf-16be",
}
# ASCII-compatible codecs only: a label such as cp037 or base64 must not turn a page into nonsense.
_TEXT_CODECS = re.compile(
    r"utf-8|cp(?:125\d|437|8[5-7]\d|932|949|950)|iso8859-\d+|koi8-|iso2022_|hz|euc_|big5|gb18030|mac_|mac-"
)
_COMMENT = re.compile(rb"<!--.*?(?:-->|\Z)", re.DOTALL)
_META = re.compile(rb"<meta[^>]{0,512}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:+-]{2,40})", re.IGNORECASE)
_XML = re.compile(rb"\s*<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([A-Za-z0-9_.:+-]{2,40})[\"']")
_MARKUP = re.compile(rb"<(?:script|style)\b.*?</(?:script|style)|<[^>]*>|&#?\w+;", re.DOTALL | re.IGNORECASE)
_NON_ASCII_RUN = re.compile(rb"[\x20-\x7e]{0,12}(?:[\x80-\xff][\x20-\xff]?){1,200}")
_NON_ASCII = re.compile(rb"[\x80-\xff]")
_LONE = re.compile(rb"(?<![\x80-\xff])[\x80-\xff](?![\x80-\xff])")
_LANGUAGE = re.compile(rb"<html[^>]{0,200}?\blang\s*=\s*[\"']?([A-Za-z]{2,3})\b", re.IGNORECASE)
_LATIN = {
    **dict.fromkeys(("cs", "hr", "hu", "pl", "ro", "sk", "sl", "sq"), "cp1250"),
    **dict.fromkeys(("tr", "az", "ku"), "cp1254"),
    **dict.fromkeys(("et", "lt", "lv"), "cp1257"),
    "vi": "cp1258",
}
_FEW_BYTES = 12
_ESCAPED = ("iso2022", "hz")
_DOUBLE_BYTE = frozenset(("gb18030", "big5hkscs", "cp932", "euc_jp", "cp949"))


def to_utf8(body: bytes, declared: str | None = None) -> tuple[bytes, str]:
    """A page in UTF-8 and the WHATWG name of the encoding that it was written in. Never raises.

    `declared` is the charset of the HTTP Content-Type. What cannot be decoded becomes U+FFFD.
    """
    for mark, codec in _BYTE_ORDER_MARKS:
        if body.startswith(mark):
            return _recoded(body[len(mark) :], codec)
    if b"\0" in body[:4] and (utf_16 := _utf_16(body)):
        return _recoded(body, utf_16)
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return _legacy_to_utf8(body, _declared_codecs(body, declared))
    num_bytes_beyond_ascii = len(body) - len(text)
    if num_bytes_beyond_ascii < _FEW_BYTES:
        codec = next(iter(_declared_codecs(body, declared)), "utf-8")
        if not num_bytes_beyond_ascii and not codec.startswith(_ESCAPED):
            return body, name_of(codec)
        # A word in GBK can be valid UTF-8 by chance, as a page cannot; encodings with escapes look like ASCII.
        if codec in _DOUBLE_BYTE or codec.startswith(_ESCAPED):
            with suppress(UnicodeDecodeError):
                return body.decode(codec).encode(), name_of(codec)
    return body, "utf-8"


@lru_cache(maxsize=512)
def codec_of(label: str) -> str | None:
    """Python codec for a label as pages write it (`GB2312` → `gb18030`); None for labels that mean nothing."""
    label = label.strip().strip("\"'").lower()
    codec = _CODECS.get(label)
    if codec is not None:
        return codec
    try:
        name = codecs.lookup(label).name
    except (LookupError, ValueError):
        return None
    name = _CODECS.get(name, name)
    return name if _TEXT_CODECS.match(name) else None


def name_of(codec: str) -> str:
    """WHATWG name of a Python codec."""
    if codec in _NAMES:
        return _NAMES[codec]
    if codec.startswith("cp125") or codec == "cp874":
        return f"windows-{codec[2:]}"
    return codec.replace("iso8859", "iso-8859").replace("iso2022", "iso-2022").replace("_", "-")


def _declared_codecs(body: bytes, header: str | None) -> list[str]:
    """Codecs that header, `<meta>` and XML declaration name, in this order, without repeats."""
    head = body[:_PRESCAN_BYTES]
    if b"<!--" in head:
        head = _COMMENT.sub(b"", head)
    labels = [header] if header else []
    if match := _META.search(head):
        labels.append(match[1].decode("ascii"))
    if match := _XML.match(head):
        labels.append(match[1].decode("ascii"))
    return list(dict.fromkeys(codec for label in labels if (codec := codec_of(label))))


def _legacy_to_utf8(body: bytes, candidates: list[str]) -> tuple[bytes, str]:
    """Recode bytes that are not valid UTF-8: the first declaration that fits, else what detection finds."""
    num_non_ascii = len(_NON_ASCII.findall(body))
    for codec in (*candidates, "utf-8"):
        num_characters = num_non_ascii / 2 if codec in _DOUBLE_BYTE else num_non_ascii
        text = body.decode(codec, "replace")
        if text.count("\ufffd") <= _BAD_SHARE * num_characters:
            return text.encode("utf-8", "replace"), name_of(codec)
    return _recoded(body, _detect(body) or "cp1252")


def _recoded(body: bytes, codec: str) -> tuple[bytes, str]:
    return body.decode(codec, "replace").encode("utf-8", "replace"), name_of(codec)


def _utf_16(body: bytes) -> str | None:
    """UTF-16 without a byte-order mark: markup whose every other byte is null."""
    head = body[:200]
    even, odd = head[::2].count(0), head[1::2].count(0)
    if odd > 0.8 * len(head) / 2 and even == 0:
        return "utf-16-le"
    if even > 0.8 * len(head) / 2 and odd == 0:
        return "utf-16-be"
    return None


def _detect(body: bytes) -> str | None:
    """Encoding of undeclared bytes, judged by a few KB of their text around non-ASCII characters."""
    from charset_normalizer import from_bytes

    text = _MARKUP.sub(b" ", body[: 64 * _SAMPLE_BYTES])
    runs = []
    size = 0
    for match in _NON_ASCII_RUN.finditer(text):
        runs.append(match[0])
        size += len(match[0])
        if size >= _SAMPLE_BYTES:
            break
    sample = b"\n".join(runs)
    if not sample:
        return None
    if len(_LONE.findall(sample)) > 0.85 * len(_NON_ASCII.findall(sample)):
        # Letters with accents among ASCII: statistics mix up the Latin encodings, the page's language does not.
        language = _LANGUAGE.search(body[:_PRESCAN_BYTES])
        return _LATIN.get(language[1].decode("ascii").lower(), "cp1252") if language else "cp1252"
    try:
        best = from_bytes(sample, steps=4, chunk_size=1024).best()
    except Exception:  # a detector that fails on odd bytes has found nothing
        return None
    return codec_of(best.encoding) if best is not None else None
