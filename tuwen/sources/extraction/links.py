"""Addresses in pages: URLs as a browser would request them, `srcset`, and data: URIs.

What comes out of `Resolver.resolve` equals the target URI of a WARC record of the same request.
<https://url.spec.whatwg.org/>, <https://html.spec.whatwg.org/multipage/images.html#srcset-attributes>
"""

from __future__ import annotations

import base64
import binascii
import re
from urllib.parse import unquote_to_bytes

LONGEST_URL = 4096  # longer ones are never fetched, and a long <base> would multiply by the number of images

_TRIM = "".join(map(chr, range(0x21)))
_REMOVE = {ord(character): None for character in "\t\n\r"}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
# A relative path without dot segments, scheme, query or anything to encode: most of all references.
_PLAIN = re.compile(r"(?:[A-Za-z0-9_~!$&'()*+,;=@-][A-Za-z0-9_~!$&'()*+,;=@%.-]*+/)*+[A-Za-z0-9_~-][A-Za-z0-9_~%.-]*+")
_SPECIAL_SEGMENT = re.compile(r"(?:^|/)(?:\.|%2e){1,2}(?:/|$)", re.IGNORECASE)
_PATH_UNSAFE = re.compile(r"[^!$%&'()*+,\-./0-9:;=@A-Z\[\\\]_a-z|~]+")
_QUERY_UNSAFE = re.compile(r"[^!$%&()*+,\-./0-9:;=?@A-Z\[\\\]^_`a-z{|}~]+")
_HOST = re.compile(r"[a-z0-9._~!$&'()*+,;=-]+|\[[0-9a-f:.]+\]")
_DEFAULT_PORTS = {"http": "80", "https": "443"}


class Resolver:
    """Turns the references of one page into absolute http(s) URLs.

    `charset` is the page's encoding: browsers encode non-ASCII queries in it, and everything else in UTF-8.
    """

    def __init__(self, url: str, charset: str = "utf-8") -> None:
        self._charset = charset
        self._scheme = self._origin = self._directory = self._path = ""
        self._move(_split(url.strip(_TRIM).translate(_REMOVE).partition("#")[0], "", "utf-8"))

    def set_base(self, reference: str) -> None:
        """Follow a `<base href>`; one that is no http(s) URL changes nothing."""
        base = self.resolve(reference)
        if base is not None:
            self._move(_split(base, "", self._charset))

    def resolve(self, reference: str) -> str | None:
        """The absolute URL without its fragment; None if empty, not http(s), malformed or longer than 4,096."""
        found = self._resolve(reference) if reference else None
        return None if found is None or len(found) > LONGEST_URL else found

    def _move(self, parts: tuple[str, str, str, str] | None) -> None:
        if parts is None:
            return
        self._scheme, host, self._path, _ = parts
        self._origin = f"{self._scheme}://{host}"
        self._directory = self._origin + self._path[: self._path.rfind("/") + 1]

    def _resolve(self, reference: str) -> str | None:
        if self._scheme:
            if _PLAIN.fullmatch(reference):
                return self._directory + reference
            if reference[0] == "/" and _PLAIN.fullmatch(reference, 1):
                return self._origin + reference
        reference = reference.strip(_TRIM).translate(_REMOVE).partition("#")[0]
        if not reference:
            return None
        parts = _split(reference, self._scheme, self._charset)
        if parts is not None:
            scheme, host, path, query = parts
            return f"{scheme}://{host}{path}{query}"
        if not self._scheme or _foreign(reference, self._scheme):
            return None
        if match := _SCHEME.match(reference):  # `https:b.png` on an https page is relative
            reference = reference[match.end() :]
        path, mark, query = reference.partition("?")
        path = path.replace("\\", "/")
        if not path:
            path = self._path
        elif not path.startswith("/"):
            path = self._path[: self._path.rfind("/") + 1] + path
        return self._origin + _normal_path(path) + _normal_query(mark + query, self._charset)


def _foreign(reference: str, scheme: str) -> bool:
    """Whether a reference has a scheme or host of its own, so that it cannot be relative to the page."""
    match = _SCHEME.match(reference)
    rest = reference[match.end() :] if match else reference
    return rest[:2].replace("\\", "/") == "//" or bool(match and match[1].lower() != scheme)


def _split(reference: str, scheme: str, charset: str) -> tuple[str, str, str, str] | None:
    """Scheme, host, path and query (with its `?`) of a reference that names its host; None for others."""
    match = _SCHEME.match(reference)
    rest = reference
    if match:
        named = match[1].lower()
        if named not in _DEFAULT_PORTS:
            return None
        rest = reference[match.end() :]
        if named == scheme and not rest.replace("\\", "/").startswith("//"):
            return None
        scheme = named
    elif not reference.replace("\\", "/").startswith("//") or not scheme:
        return None
    before, mark, query = rest.partition("?")
    authority, _, path = before.replace("\\", "/").lstrip("/").partition("/")
    host = _normal_host(authority, scheme)
    if host is None:
        return None
    return scheme, host, _normal_path("/" + path), _normal_query(mark + query, charset)


def _normal_host(authority: str, scheme: str) -> str | None:
    user, at, host = authority.rpartition("@")
    name, colon, port = host.rpartition(":") if not host.endswith("]") else (host, "", "")
    if not colon:
        name, port = host, ""
    name = name.lower()
    if not name.isascii():
        try:
            name = name.encode("idna").decode("ascii")
        except UnicodeError:
            return None
    if not _HOST.fullmatch(name) or (port and not (port.isascii() and port.isdigit() and len(port) < 6)):
        return None
    if port and port != _DEFAULT_PORTS[scheme]:
        name = f"{name}:{port}"
    return f"{_PATH_UNSAFE.sub(_percent, user)}@{name}" if at and user else name


def _normal_path(path: str) -> str:
    if _SPECIAL_SEGMENT.search(path):
        segments: list[str] = []
        for segment in path.split("/")[1:]:
            plain = segment.lower().replace("%2e", ".")
            if plain == "..":
                del segments[-1:]
            elif plain != ".":
                segments.append(segment)
        if plain in (".", ".."):
            segments.append("")
        path = "/" + "/".join(segments)
    return _PATH_UNSAFE.sub(_percent, path)


def _normal_query(query: str, charset: str) -> str:
    if _QUERY_UNSAFE.search(query) is None:
        return query
    if charset.startswith("utf") or query.isascii():
        return _QUERY_UNSAFE.sub(_percent, query)
    data = query.encode(charset, "xmlcharrefreplace")
    return "".join(chr(byte) if byte < 0x80 and not _QUERY_UNSAFE.match(chr(byte)) else f"%{byte:02X}" for byte in data)


def _percent(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode("utf-8", "replace"))


def largest_candidate(srcset: str) -> str | None:
    """The URL of the largest image of a `srcset`: widths before densities, the first of equals; None if empty."""
    best: tuple[int, float] = (-1, 0.0)
    found = None
    position = 0
    while position < len(srcset):
        match = _CANDIDATE.match(srcset, position)
        if match is None:
            break
        position = match.end()
        url, descriptors = match[1], ""
        if url.endswith(","):
            url = url.rstrip(",")
        else:
            rest = _DESCRIPTORS.match(srcset, position)
            if rest is not None:
                position, descriptors = rest.end(), rest[0]
        size = _size(descriptors)
        if url and size > best:
            best, found = size, url
    return found


_CANDIDATE = re.compile(r"[\s,]*([^\s,]\S*)")
_DESCRIPTORS = re.compile(r"(?:[^,(]|\([^)]*\)?)*,?")
_DESCRIPTOR = re.compile(r"(\d+(?:\.\d+)?)([wx])(?![^\s,])")


def _size(descriptors: str) -> tuple[int, float]:
    sizes = [(int(unit == "w"), float(number)) for number, unit in _DESCRIPTOR.findall(descriptors)]
    return max(sizes, default=(0, 1.0))


def data_bytes(uri: str) -> bytes | None:
    """The bytes of an image in a data: URI (base64 or percent-encoded); None if it holds no image.

    <https://fetch.spec.whatwg.org/#data-urls>
    """
    scheme, _, rest = uri.strip(_TRIM).translate(_REMOVE).partition(":")
    media, comma, data = rest.partition(",")
    if scheme.lower() != "data" or not comma:
        return None
    media_type, *parameters = media.lower().split(";")
    if not media_type.strip().startswith("image/") and media_type.strip() not in (
        "",
        "application/octet-stream",
    ):
        return None
    content = unquote_to_bytes(data)
    if parameters and parameters[-1].strip() == "base64":
        content = b"".join(content.split()).rstrip(b"=")
        try:
            content = base64.b64decode(content + b"=" * (-len(content) % 4), validate=True)
        except (binascii.Error, ValueError):
            return None
    return content or None
