"""The tests' own crawl: three WARC files with everything that real ones have wrong, and the truth about them.

Every call below states what should come of a capture (`error`, and whether it becomes a page or an image); nothing of
the truth is computed by the code under test. The same bytes come out in every run.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import zlib
from dataclasses import dataclass, field, replace
from pathlib import Path

import brotli
from hostile_images import encoded, images, jpeg, noise
from warc_records import chunked, http, member, raw_deflate, record

HOST = "http://hostile.test"
FIRST, LATER = "2026-11-20T12:00:00Z", "2026-11-21T08:30:00.250Z"
CHINESE = "图像与文本的对应关系是训练视觉语言模型的基础,我们从网页中收集带有说明文字的图片,并记录它们的来源。" * 4
TRADITIONAL = "這個網頁介紹臺北的風景照片,每一張圖片都有說明文字,請參觀我們的相簿,並且告訴您的朋友。" * 4
RUSSIAN = "На этой странице собраны фотографии города, каждая из них снабжена подписью и ссылкой на автора. " * 4
TYPES = {
    "jpg": "image/jpeg", "png": "image/png", "gif": "image/gif", "webp": "image/webp", "avif": "image/avif",
    "tiff": "image/tiff", "bmp": "image/bmp", "ico": "image/x-icon",
}  # fmt: skip


def image_id(data: bytes) -> str:
    """Ids as documented: the first 32 digits of the SHA-256."""
    return hashlib.sha256(data).hexdigest()[:32]


@dataclass(frozen=True)
class Captured:
    """One row that `fetches` must have."""

    url: str
    date: str
    status: int | None
    error: str | None
    kind: str | None  # page, image
    image_id: str | None = None
    redirect_url: str | None = None


@dataclass
class File:
    """One WARC file and what reading it must come to."""

    name: str
    version: str = "1.1"
    brackets: bool = False
    records: list[bytes] = field(default_factory=list)
    captured: list[Captured] = field(default_factory=list)
    num_records: int = 0
    num_bad_records: int = 0
    error: str | None = None

    def add(self, kind: str, url: str, block: bytes, date: str, more: tuple[str, ...] = (), *truth: Captured) -> None:
        """A record with its truth; none for kinds that are only counted."""
        target = f"<{url}>" if self.brackets else url
        self.records.append(record(kind, target, block, date=date, version=self.version, more=more))
        self.captured += truth
        self.num_records += 1

    def get(
        self, path: str, body: bytes, content_type: str | None, *headers: str, status: int = 200, date: str = FIRST,
        sent: bytes | None = None, error: str | None = None, kind: str | None = None, redirect_url: str | None = None,
        more: tuple[str, ...] = (), url: str | None = None,
    ) -> None:  # fmt: skip
        """A request and its response; `sent` is the body as it went over the wire."""
        url = url or HOST + path
        block = http(body if sent is None else sent, content_type, status=status, headers=headers)
        made = image_id(body) if kind == "image" else None
        self.add("request", url, b"GET / HTTP/1.1\r\nHost: hostile.test\r\n\r\n", date)
        self.add("response", url, block, date, more, Captured(url, date, status, error, kind, made, redirect_url))

    def page(self, path: str, body: str, *headers: str, date: str = FIRST, **options: object) -> None:
        """A good page in UTF-8, said so by HTTP."""
        self.get(path, html(body), "text/html; charset=utf-8", *headers, date=date, kind="page", **options)  # type: ignore[arg-type]

    def image(self, path: str, data: bytes, content_type: str | None = None, *headers: str, date: str = FIRST) -> None:
        """A good image, by default served as what its name says."""
        self.get(path, data, content_type or TYPES[path.rsplit(".")[-1]], *headers, date=date, kind="image")


def html(body: str, head: str = "", language: str = "en") -> bytes:
    """A page in UTF-8."""
    return f"<!DOCTYPE html><html lang={language}><head>{head}</head><body>{body}</body></html>".encode()


def undeclared(text: str, charset: str) -> bytes:
    """A page whose charset is told nowhere."""
    return f"<html><title>{text[:8]}</title><p>{text}</p><img src='/photo.jpg' alt='{text[:12]}'></html>".encode(
        charset
    )


def figure(name: str, alt: str, caption: str) -> str:
    """An image with alt text and caption."""
    return f'<figure><img src="{name}" alt="{alt}"><figcaption>{caption}</figcaption></figure>'


def crawl() -> list[File]:
    """The three files: gzip WARC 1.1; plain WARC 1.0 that overlaps the first; gzip, damaged and cut, overlapping."""
    pictures = images()
    first = File("hostile-1.warc.gz")
    first.records.append(record("warcinfo", None, b"software: by hand\r\n"))
    first.num_records += 1
    for part in (_images, _pages, _encodings, _failures, _oddities):
        part(first, pictures)
    first.num_bad_records = 1  # the record without a target
    return [first, _second(pictures), _third(pictures)]


def _images(file: File, pictures: dict[str, bytes]) -> None:
    for name, data in pictures.items():
        file.image(f"/{name}", data)
    file.image("/copy-of-photo.jpg", pictures["photo.jpg"])
    file.image("/photo-as-html.jpg", jpeg(30), "text/html")
    file.image("/photo-as-text.jpg", jpeg(31), "text/plain")
    file.image("/download?id=7", jpeg(32), "application/octet-stream")
    file.image("/noimageai.jpg", jpeg(33), None, "X-Robots-Tag: noai, noimageai")
    figures = "".join(figure(name, f"The file {name}", f"Caption of {name}, for the tests") for name in pictures)
    file.page("/", f"<h1>Every kind of image</h1><nav><img src=/icon.png alt=home></nav>{figures}")
    for number in range(1, 7):
        file.image(f"/gallery/{number}.jpg", jpeg(40 + number))
        own = figure(f"{number}.jpg", f"Picture number {number}", f"A picture made from the seed {40 + number}")
        near = figure("/photo-half.jpg" if number % 2 else "/photo-recompressed.jpg", "The photo once more", "Again")
        file.page(f"/gallery/{number}.html", f'<nav><img src="/icon.png" alt="home"></nav><h1>Gallery</h1>{own}{near}')


def _pages(file: File, pictures: dict[str, bytes]) -> None:
    pixel = base64.b64encode(pictures["pixel.png"]).decode()
    file.page("/data.html", f"<p>Embedded<img alt='one pixel' src='data:image/png;base64,{pixel}'>")
    file.page("/srcset.html", '<img alt="the largest" src=/icon.png srcset="/photo-half.jpg 120w, /photo.jpg 240w">')
    file.page("/picture.html", '<picture><source srcset=/photo.webp><img src=/photo.png alt="a picture"></picture>')
    file.page("/lazy.html", '<img src=/pixel.png data-src=/photo.jpg alt="loaded late" loading=lazy>')
    file.get("/base.html", html('<img src=1.jpg alt="of the gallery">', f'<base href="{HOST}/gallery/">'),
             "text/html; charset=utf-8", kind="page")  # fmt: skip
    file.page(
        "/nested.html", "<div>" * 200 + figure("/photo.jpg", "deep inside", "Two hundred levels") + "</div>" * 200
    )
    file.page("/nulls.html", "<p>null\0 bytes\0</p><img src=/photo.jpg alt='nu\0ll'>")
    file.page("/noai.html", "<p>Do not train</p>", "X-Robots-Tag: noai", "X-Robots-Tag: noimageai")
    file.get("/noai-meta.html", html("<p>Not me</p>", '<meta name=robots content="noai, noimageai">'), "text/html",
             kind="page")  # fmt: skip
    file.get("/gb18030.html", undeclared(CHINESE, "gb18030"), "text/html", kind="page")
    file.get("/big5.html", undeclared(TRADITIONAL, "big5"), "text/html", kind="page")
    file.get("/windows-1251.html", undeclared(RUSSIAN, "windows-1251"), "text/html", kind="page")
    file.get("/no-type.html", html("<p>Nobody says that this is a page"), None, kind="page")
    file.get("/xhtml", html("<p>Strict</p>"), "Application/XHTML+XML;charset=UTF-8", kind="page")
    file.page("/empty-alt.html", '<img src=/photo.jpg alt=""><img src="" alt="no address"><img alt="no src">')
    file.get("/soft404.jpg", html("<h1>Not found, said kindly"), "text/html", kind="page")


def _encodings(file: File, pictures: dict[str, bytes]) -> None:
    body = html("<p>" + "The same page in many encodings. " * 60)
    sent = {
        "gzip": gzip.compress(body, mtime=0), "x-gzip": gzip.compress(body, mtime=0), "br": brotli.compress(body),
        "deflate": zlib.compress(body), "gzip, br": brotli.compress(gzip.compress(body, mtime=0)),
    }  # fmt: skip
    for number, (encoding, data) in enumerate(sent.items()):
        file.get(f"/encoded-{number}.html", body, "text/html", f"Content-Encoding: {encoding}", sent=data, kind="page")
    file.get("/raw.html", body, "text/html", "Content-Encoding: deflate", sent=raw_deflate(body), kind="page")
    file.get("/chunked.html", body, "text/html", "Transfer-Encoding: chunked", sent=chunked(body), kind="page")
    file.get("/chunked-gzip.html", body, "text/html", "Transfer-Encoding: chunked", "Content-Encoding: gzip",
             sent=chunked(sent["gzip"], 50), kind="page")  # fmt: skip
    # What a crawler leaves that decodes bodies and keeps their headers.
    file.get("/undone.html", body, "text/html", "Content-Encoding: gzip", "Content-Length: 99", kind="page")
    file.get("/joined.html", body, "text/html", "Transfer-Encoding: chunked", kind="page")
    file.get("/chunked.jpg", pictures["photo.jpg"], "image/jpeg", "Transfer-Encoding: chunked",
             sent=chunked(pictures["photo.jpg"]), kind="image")  # fmt: skip
    bomb = gzip.compress(bytes(70 << 20), mtime=0)
    file.get("/bomb.html", b"", "text/html", "Content-Encoding: gzip", sent=bomb, error="too_large")
    file.get("/cut-gzip.html", b"", "text/html", "Content-Encoding: gzip", sent=sent["gzip"][:-20],
             error="truncated_body")  # fmt: skip
    file.get("/junk-gzip.html", b"", "text/html", "Content-Encoding: gzip", sent=b"no gzip at all",
             error="bad_encoding")  # fmt: skip
    file.get("/unknown.html", b"", "text/html", "Content-Encoding: quantum", sent=b"\1\2\3", error="bad_encoding")


def _failures(file: File, pictures: dict[str, bytes]) -> None:
    page, photo = html("<h1>Sorry</h1><img src=/photo.jpg alt=sorry>"), pictures["photo.jpg"]
    file.get("/missing.png", page, "text/html", status=404, error="http_404")
    file.get("/forbidden.jpg", photo, "image/jpeg", status=403, error="http_403")
    file.get("/failing.html", page, "text/html", status=500, error="http_500")
    file.get("/partial.jpg", photo[:900], "image/jpeg", status=206, error="http_206")
    file.get("/old.jpg", b"", None, "Location: /older.jpg", status=301, error="redirect",
             redirect_url=f"{HOST}/older.jpg")  # fmt: skip
    file.get("/older.jpg", b"", None, f"Location: {HOST}/photo.jpg", status=302, error="redirect",
             redirect_url=f"{HOST}/photo.jpg")  # fmt: skip
    file.get("/loop-a", b"", None, "Location: loop-b", status=302, error="redirect", redirect_url=f"{HOST}/loop-b")
    file.get("/loop-b", b"", None, "Location: loop-a", status=307, error="redirect", redirect_url=f"{HOST}/loop-a")
    file.page("/redirected.html", '<img src=/old.jpg alt="moved twice"><img src=/loop-a alt="never found">')
    file.get("/soft404.png", page, "image/png", error="not_an_image")
    file.get("/text.jpg", b"this is no image", "image/jpeg", error="not_an_image")
    file.get("/logo.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml", error="vector_image")
    file.get("/logo.xml", b"<?xml version='1.0'?>\n<!-- a --><svg/>".replace(b"<svg/>", b"<svg >"), "text/xml",
             error="vector_image")  # fmt: skip
    file.get("/empty.png", b"", "image/png", error="empty_body")
    file.get("/manual.pdf.html", b"%PDF-1.7 ...", "text/html", error="not_a_page")
    file.get("/short.jpg", photo[:900], "image/jpeg", f"Content-Length: {len(photo)}", error="truncated_body")
    file.get("/cut-by-crawler.html", page, "text/html", error="truncated_body", more=("WARC-Truncated: length",))
    file.get("/style.css", b"p { color: red }", "text/css")
    file.get("/source.txt", page, "text/plain")


def _oddities(file: File, pictures: dict[str, bytes]) -> None:
    def respond(path: str, block: bytes, truth: Captured, kind: str = "response", *more: str) -> None:
        file.add(kind, HOST + path, block, truth.date, more, truth)

    def truth(path: str, kind: str | None, *, status: int | None = None, error: str | None = None) -> Captured:
        return Captured(HOST + path, FIRST, status, error, kind, image_id(photo) if kind == "image" else None)

    page, photo = html("<h1>Odd</h1>"), pictures["photo.jpg"]
    respond(
        "/bare-lf.html", http(page, "text/html").replace(b"\r\n", b"\n"), truth("/bare-lf.html", "page", status=200)
    )
    respond("/http09.html", page, truth("/http09.html", "page"))
    respond("/no-status.html", b"Content-Type: text/html\r\n\r\n" + page, truth("/no-status.html", "page"))
    respond("/bad-status.html", http(page, "text/html", status="twohundred"),
            truth("/bad-status.html", None, error="bad_http"))  # fmt: skip
    junk = http(page, "text/html", headers=["no colon here", "X-\xe9: 1", ": empty", "X-Fold: a", "  b"])
    respond("/junk.html", junk, truth("/junk.html", "page", status=200))
    early = b"HTTP/1.1 100 Continue\r\n\r\n" + http(photo, "image/jpeg")
    respond("/continued.jpg", early, truth("/continued.jpg", "image", status=200))
    respond("/resource.jpg", photo, truth("/resource.jpg", "image"), "resource", "Content-Type: image/jpeg")
    respond("/resource.html", page, truth("/resource.html", "page"), "resource", "Content-Type: text/html")
    revisit = Captured(HOST + "/photo.jpg", LATER, 200, "revisit", None, None, HOST + "/photo.jpg")
    respond("/photo.jpg", http(b"", "image/jpeg"), revisit, "revisit", f"WARC-Refers-To-Target-URI: {HOST}/photo.jpg")
    file.add("metadata", HOST + "/", b"fetchTimeMs: 7\r\n", FIRST, ("Content-Type: application/warc-fields",))
    file.add("conversion", HOST + "/", b"text", FIRST, ("Content-Type: text/plain",))
    file.get("/undated.html", html("<p>When?"), "text/html", date="yesterday", kind="page")
    file.get("", html("<p>图"), "text/html", kind="page", url=f"{HOST}/%E5%9B%BE.html")
    file.records.append(record("response", None, http(page, "text/html")))
    file.num_records += 1


def _second(pictures: dict[str, bytes]) -> File:
    """Overlaps: two captures of the first file again, and two of its addresses a day later."""
    file = File("hostile-2.warc", version="1.0", brackets=True)
    file.image("/photo.jpg", pictures["photo.jpg"])
    file.page("/data.html", "<p>changed since</p>", date=LATER)
    file.page("/srcset.html", '<img alt="the largest" src=/icon.png srcset="/photo-half.jpg 120w, /photo.jpg 240w">')
    file.image("/photo.png", jpeg(99), "image/jpeg", date=LATER)  # the picture that says "removed"
    return file


def _third(pictures: dict[str, bytes]) -> File:
    """Two damaged gzip members in the middle, and a record that is cut at the end."""
    file = File("hostile-3.warc.gz", brackets=True, error="damaged", num_bad_records=3)
    file.image("/before.jpg", jpeg(50))
    file.image("/photo.jpg", pictures["photo.jpg"])
    file.get("/lost.jpg", jpeg(51), "image/jpeg")
    file.captured.pop()  # so small that the damage hides even its name
    file.num_records -= 1
    file.page("/after.html", figure("/before.jpg", "before the damage", "It went well until then"))
    file.get("/damaged.png", encoded(noise(), "PNG"), "image/png", error="damaged_body")
    file.captured[-1] = replace(file.captured[-1], status=None)  # it stood in what is damaged
    file.page("/after-all.html", "<p>still there")
    file.get("/last.jpg", jpeg(52), "image/jpeg", error="truncated_body")
    return file


DAMAGED = (5, 9)  # records of the third file


def write_crawl(folder: Path) -> list[File]:
    """Write the files into `folder` and return the truth about them."""
    files = crawl()
    for file in files:
        records = [member(data) if file.name.endswith(".gz") else data for data in file.records]
        if file.name == "hostile-3.warc.gz":
            for number in DAMAGED:
                middle = len(records[number]) // 2
                records[number] = records[number][:middle] + b"\xff" * 64 + records[number][middle + 64 :]
            records[-1] = records[-1][: len(records[-1]) // 2]
        (folder / file.name).write_bytes(b"".join(records))
    return files


def write_folder(folder: Path) -> None:
    """Saved pages with images beside them, and things that must not be read."""
    pictures = images()
    for path, data in {
        "index.html": html(figure("img/photo.jpg", "A photo", "Beside the page") + "<img src='img/a b.png' alt=space>"),
        "deep/er/page.HTM": html("<img src=../../img/photo.jpg alt=up><img src='../../img/%E5%9B%BE.png' alt=图>"),
        "strict.xhtml": html("<p>XHTML"),
        "img/photo.jpg": pictures["photo.jpg"], "img/copy.jpg": pictures["photo.jpg"],
        "img/a b.png": pictures["icon.png"], "img/图.png": pictures["gray.png"],
        "img/no-suffix": pictures["palette.gif"],
        "img/fake.png": b"text", "img/empty.gif": b"", "img/logo.svg": b"<svg></svg>",
        "style.css": b"p{}", ".hidden/secret.html": html("<p>hidden"), ".hidden.html": html("<p>hidden"),
    }.items():  # fmt: skip
        (folder / "site" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "site" / path).write_bytes(data)
    (folder / "outside.html").write_bytes(html("<p>outside"))
    (folder / "site" / "escape.html").symlink_to(folder / "outside.html")
    (folder / "site" / "img" / "link.jpg").symlink_to("photo.jpg")
    (folder / "site" / "loop").symlink_to(folder / "site")
    (folder / "site" / "dangling.html").symlink_to("nothing.html")
