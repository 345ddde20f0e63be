"""Emoji with their names in many languages as a folder, which the world `emoji` reads.

python -m tuwen.proof.worlds.emoji_builder --font NotoColorEmoji.ttf --cldr cldr/common --to emoji
python -m tuwen.proof.worlds.emoji_builder --crawl galleries.warc.gz --to emoji

The font comes with Debian's fonts-noto-color-emoji (glyphs: OFL-1.1), the names with unicode-cldr-core (Unicode CLDR,
`annotations` and `annotationsDerived`: Unicode-DFS-2016). A crawl has gallery pages of one language each, with figures
of an image, its name as alternative text, and a caption.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit
from xml.etree import ElementTree

from tuwen.errors import UsageError

if TYPE_CHECKING:
    from PIL import ImageFont

SIZE = 109  # pixels of the bitmaps in Noto Color Emoji; a font of bitmaps has no other
INHERITED = "↑↑↑"  # CLDR: as in the parent language


@dataclass(frozen=True)
class Glyph:
    """An emoji: `code`, by which it is told from others, a picture file, and by language names and captions: a name
    with keywords."""

    code: str
    picture: bytes
    names: dict[str, str] = field(default_factory=dict)
    captions: dict[str, str] = field(default_factory=dict)


def of_font(font: Path, cldr: Path, languages: Sequence[str] = ()) -> list[Glyph]:
    """All emoji that the font draws as one picture and that CLDR names, in the order of their code points.

    `cldr`: a folder with `annotations` and perhaps `annotationsDerived`. `languages`: those wanted, else all.
    """
    from PIL import ImageFont

    names, captions = _annotations(cldr, languages)
    if not names:
        raise UsageError(f"no names in {cldr}/annotations; give CLDR's folder `common`")
    try:
        drawer = ImageFont.truetype(font, SIZE)
    except OSError as error:
        raise UsageError(f"{font} cannot be read as a font: {error}") from error
    widths = {text: drawer.getlength(text) for text in sorted(names)}
    # Bitmaps of emoji are all of one width; a sequence that the font has no picture of comes out as several.
    width, _ = Counter(widths.values()).most_common(1)[0]
    glyphs = []
    for text in widths:
        if widths[text] == width and (picture := _drawn(drawer, text)) is not None:
            code = "-".join(f"{ord(each):x}" for each in text)
            glyphs.append(Glyph(code, picture, names[text], captions.get(text, {})))
    return glyphs


def _annotations(cldr: Path, languages: Sequence[str]) -> tuple[dict[str, dict[str, str]], dict[str, dict[str, str]]]:
    names: dict[str, dict[str, str]] = {}
    captions: dict[str, dict[str, str]] = {}
    for path in sorted([*cldr.glob("annotations/*.xml"), *cldr.glob("annotationsDerived/*.xml")]):
        language = path.stem.replace("_", "-")
        if languages and language not in languages:
            continue
        keywords: dict[str, str] = {}
        for each in ElementTree.parse(path).iter("annotation"):
            text, value = each.get("cp", ""), (each.text or "").strip()
            if not value or value == INHERITED:
                continue
            if each.get("type") == "tts":
                names.setdefault(text, {})[language] = value
            else:
                keywords[text] = ", ".join(word.strip() for word in value.split("|"))
        for text, words in keywords.items():
            if name := names.get(text, {}).get(language):
                captions.setdefault(text, {})[language] = f"{name} ({words})"
    return names, captions


def _drawn(drawer: ImageFont.FreeTypeFont, text: str) -> bytes | None:
    """A text as PNG, without a background; None where there is no ink."""
    from PIL import Image, ImageDraw

    _, _, right, bottom = drawer.getbbox(text)
    page = Image.new("RGBA", (max(1, math.ceil(right)), max(1, math.ceil(bottom))), (255, 255, 255, 0))
    ImageDraw.Draw(page).text((0, 0), text, font=drawer, embedded_color=True)
    if page.getbbox() is None:
        return None
    file = io.BytesIO()
    page.save(file, "PNG")
    return file.getvalue()


def of_crawl(path: Path) -> list[Glyph]:
    """All figures on pages of a WARC whose image is in it, one for each image, in the order of their URLs."""
    from fastwarc.warc import ArchiveIterator, WarcRecordType
    from selectolax.lexbor import LexborHTMLParser

    pictures: dict[str, bytes] = {}
    told: dict[str, tuple[dict[str, str], dict[str, str]]] = {}
    with path.open("rb") as stream:
        for record in ArchiveIterator(stream, record_types=WarcRecordType.response, parse_http=True):
            url, kind = str(record.headers.get("WARC-Target-URI")), str(record.http_content_type)
            if record.http_headers.status_code != 200:
                continue
            if kind.startswith("image/"):
                pictures[url] = record.reader.read()
            elif kind == "text/html":
                page = LexborHTMLParser(record.reader.read())
                root = page.css_first("html")
                language = (root.attributes.get("lang") if root else None) or "und"
                for figure in page.css("figure"):
                    image, caption = figure.css_first("img[src][alt]"), figure.css_first("figcaption")
                    if image is None or caption is None:
                        continue
                    names, captions = told.setdefault(urljoin(url, image.attributes["src"] or ""), ({}, {}))
                    names[language] = (image.attributes["alt"] or "").strip()
                    captions[language] = caption.text().strip()
    stem = {url: Path(urlsplit(url).path).stem for url in pictures}
    return [Glyph(stem[url], pictures[url], *told[url]) for url in sorted(pictures) if url in told]


def write_glyphs(glyphs: Sequence[Glyph], folder: Path) -> None:
    """A folder with a picture file each, and `emoji.json`, which says the rest."""
    folder.mkdir(parents=True, exist_ok=True)
    for each in glyphs:
        (folder / f"{each.code}.png").write_bytes(each.picture)
    told = [
        {
            "code": each.code,
            "sha256": hashlib.sha256(each.picture).hexdigest(),
            "names": each.names,
            "captions": each.captions,
        }
        for each in glyphs
    ]
    (folder / "emoji.json").write_text(json.dumps(told, ensure_ascii=False, indent=0), encoding="utf-8")


def read_glyphs(folder: Path) -> list[Glyph]:
    """What `write_glyphs` wrote."""
    try:
        told = json.loads((folder / "emoji.json").read_text(encoding="utf-8"))
        return [
            Glyph(each["code"], (folder / f"{each['code']}.png").read_bytes(), each["names"], each["captions"])
            for each in told
        ]
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(
            f"{folder} holds no emoji: {error}; `python -m {__name__} --help` makes such a folder"
        ) from error


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {__name__}", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--font", type=Path)
    parser.add_argument("--cldr", type=Path)
    parser.add_argument("--crawl", type=Path)
    parser.add_argument("--languages", default="", help="comma-separated; default: all")
    parser.add_argument("--to", type=Path, required=True)
    told = parser.parse_args(arguments)
    if told.crawl:
        glyphs = of_crawl(told.crawl)
    elif told.font and told.cldr:
        glyphs = of_font(told.font, told.cldr, [each for each in told.languages.split(",") if each])
    else:
        parser.error("give --font and --cldr, or --crawl")
    write_glyphs(glyphs, told.to)
    print(f"{len(glyphs)} emoji in {len({language for each in glyphs for language in each.names})} languages")


if __name__ == "__main__":
    main()
