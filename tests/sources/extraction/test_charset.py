from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuwen.sources.extraction.charset import codec_of, name_of, to_utf8

CHINESE = "图像处理软件的使用手册，请先打开文件菜单，然后选择要编辑的图片。"
TRADITIONAL = "圖像處理軟體的使用手冊，請先打開檔案選單，然後選擇要編輯的圖片。"
JAPANESE = "画像処理ソフトウェアの使い方。まずファイルメニューを開いて、画像を選んでください。"
KOREAN = "이미지 처리 소프트웨어 사용 설명서입니다. 먼저 파일 메뉴를 여십시오."
RUSSIAN = "Руководство пользователя программы обработки изображений. Откройте меню."
POLISH = "Proszę najpierw otworzyć menu Plik, a następnie wybrać zdjęcie, które chcesz edytować."
FRENCH = "Veuillez d’abord ouvrir le menu Fichier, puis choisir l’image à éditer."

WRITTEN = [
    (CHINESE, "gb18030", "gb2312", "gb18030"),
    (TRADITIONAL, "big5hkscs", "Big5", "big5"),
    (JAPANESE, "cp932", "Shift_JIS", "shift_jis"),
    (JAPANESE, "euc_jp", "EUC-JP", "euc-jp"),
    (KOREAN, "cp949", "euc-kr", "euc-kr"),
    (RUSSIAN, "cp1251", "windows-1251", "windows-1251"),
    (RUSSIAN, "koi8_r", "KOI8-R", "koi8-r"),
    (POLISH, "iso8859_2", "iso-8859-2", "iso-8859-2"),
    (FRENCH, "cp1252", "iso-8859-1", "windows-1252"),
    (JAPANESE, "iso2022_jp", "iso-2022-jp", "iso-2022-jp"),
]
UNDECLARED = [row for row in WRITTEN if row[3] not in ("iso-8859-2", "iso-2022-jp")]


def document(text: str, head: str = "") -> str:
    return f"<html><head>{head}<title>x</title></head><body><p>{text}</p></body></html>"


@pytest.mark.parametrize(("text", "codec", "label", "name"), WRITTEN)
def test_declared_by_meta_or_header(text: str, codec: str, label: str, name: str) -> None:
    meta = document(text, f'<meta http-equiv="Content-Type" content="text/html; charset={label}">')
    assert to_utf8(meta.encode(codec)) == (meta.encode(), name)
    short = document(text, f"<meta charset={label}>")
    assert to_utf8(short.encode(codec)) == (short.encode(), name)
    plain = document(text)
    assert to_utf8(plain.encode(codec), label) == (plain.encode(), name)


@pytest.mark.parametrize(("text", "codec", "label", "name"), UNDECLARED)
def test_undeclared_is_detected(text: str, codec: str, label: str, name: str) -> None:
    page = document(f"{text}</p>\n<p>{text}")
    assert to_utf8(page.encode(codec)) == (page.encode(), name)


def test_language_tells_latin_encodings_apart() -> None:
    page = f'<html lang="pl"><p>{POLISH}</p></html>'
    assert to_utf8(page.encode("cp1250")) == (page.encode(), "windows-1250")


def test_valid_utf8_wins_over_any_declaration() -> None:
    page = document(CHINESE, "<meta charset=gb2312>").encode()
    assert to_utf8(page, "iso-8859-1") == (page, "utf-8")


def test_wrong_declaration_is_passed_over() -> None:
    page = document(RUSSIAN, "<meta charset=utf-8>")
    assert to_utf8(page.encode("cp1251"), "utf-8") == (page.encode(), "windows-1251")
    page = document(CHINESE, "<meta charset=gbk>")
    assert to_utf8(page.encode("gb18030"), "utf-8") == (page.encode(), "gb18030")


def test_a_few_bad_bytes_do_not_change_the_encoding() -> None:
    page = document(CHINESE * 4, "<meta charset=utf-8>").encode()
    recoded, name = to_utf8(page.replace("菜".encode(), b"\xff", 1))
    assert name == "utf-8"
    assert recoded.decode().count("\ufffd") == 1


def test_byte_order_marks_and_utf16_without_one() -> None:
    page = document(RUSSIAN)
    for codec, name in (("utf-8-sig", "utf-8"), ("utf-16", "utf-16le")):
        assert to_utf8(page.encode(codec), "windows-1251") == (page.encode(), name)
    assert to_utf8(b"\xfe\xff" + page.encode("utf-16-be"))[1] == "utf-16be"
    english = document("plain text")
    assert to_utf8(english.encode("utf-16-le")) == (english.encode(), "utf-16le")


def test_ascii_keeps_what_was_declared() -> None:
    assert to_utf8(b"<p>x", "Shift_JIS") == (b"<p>x", "shift_jis")
    assert to_utf8(b"<p>x") == (b"<p>x", "utf-8")
    assert to_utf8(b"") == (b"", "utf-8")


def test_declaration_in_a_comment_does_not_count() -> None:
    page = document(RUSSIAN, "<!-- <meta charset=big5> --><meta charset=windows-1251>")
    assert to_utf8(page.encode("cp1251")) == (page.encode(), "windows-1251")


@pytest.mark.parametrize("label", ["x-user-defined", "none", "base64", "rot13", "cp037", "utf-7", "idna", "\udc80", ""])
def test_labels_that_mean_nothing(label: str) -> None:
    assert codec_of(label) is None
    assert to_utf8("é".encode(), label) == ("é".encode(), "utf-8")


@given(st.text())
def test_any_label(label: str) -> None:
    codec = codec_of(label)
    if codec is not None:
        assert "<a>".encode(codec) == b"<a>" or codec.startswith("utf-16")
        assert name_of(codec)


@given(st.binary(), st.sampled_from(["utf-8", "big5", "gb2312", "shift_jis", "hz-gb-2312", "iso-2022-jp", None]))
def test_any_bytes_become_utf8(body: bytes, label: str | None) -> None:
    recoded, name = to_utf8(body, label)
    recoded.decode("utf-8")
    assert name
