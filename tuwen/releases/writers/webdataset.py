"""WebDataset: tar shards, one sample per image. <https://github.com/webdataset/webdataset>"""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from tuwen.errors import UsageError
from tuwen.fetching.settings import Reencode
from tuwen.releases.content import Content
from tuwen.releases.croissant import field, file_set
from tuwen.releases.images import EXTENSIONS, box_column, check_blur, extension_of, image_problems, reencoded
from tuwen.releases.manifest import canonical_json
from tuwen.releases.problem import Problem
from tuwen.releases.samples import features, samples
from tuwen.releases.shards import TarShards

_KEY = re.compile(r"[0-9a-f]{32}")
MAX_MEMBER_BYTES = 1 << 30
_END = bytes(2 * tarfile.BLOCKSIZE)


@dataclass(frozen=True)
class Webdataset:
    """Tar shards of `KEY.jpg` (the original bytes), `KEY.txt` (the best text) and `KEY.json` (everything).

    KEY is the image_id. The best text is the first of `texts` in the JSON, in the order of `samples.text_order`; a
    selection of images has no texts and no `.txt`.

    `extension="jpg"` names every image alike, whatever its format, as img2dataset does for originals: one key set in
    every sample, which `datasets.load_dataset` insists on, and no format unknown to a loader (webdataset 1.0 decodes
    no `.avif`). Decoders look at the bytes. `extension="format"` writes the extension of the real format instead.

    `reencode` makes the images smaller: `{short_side: 256, quality: 95, format: jpeg}` (or webp, png), named by that
    format whatever `extension` says. Keys and columns stay those of the originals; `sha256` in the JSON is that of the
    new bytes.

    `blur` names an images' column of boxes (faces that a detector of yours found, brought by `tuwen join`), whose
    insides become mosaics. Boxes are [left, top, right, bottom] as shares of the upright image's width and height, as
    DataComp's `face_bboxes`. An image without any (null) was not checked: it is released as it is, and the card counts
    it. Needs `reencode`.
    """

    version: ClassVar[int] = 2
    units: ClassVar[tuple[str, ...]] = ("pair", "image")
    sample: ClassVar[str] = "image"

    samples_per_shard: int = 10_000
    shard_bytes: int = 1 << 30
    extension: Literal["jpg", "format"] = "jpg"
    reencode: Reencode | None = None
    blur: str | None = None

    def __post_init__(self) -> None:
        check_blur("webdataset", self.blur, self.reencode)
        if self.samples_per_shard < 1 or self.shard_bytes < 1:
            raise UsageError(f"webdataset: a shard needs room for a sample, got {self}")

    @property
    def _image_name(self) -> str | None:
        """The extension that all images have; None: each its own."""
        if self.reencode:
            return EXTENSIONS[self.reencode.format]
        return "jpg" if self.extension == "jpg" else None

    def write(self, content: Content, folder: Path) -> dict[str, int]:
        """Write `data/00000.tar`, …"""
        shards = TarShards(folder / "data", self.samples_per_shard, self.shard_bytes)
        boxes = box_column(content, self.blur).name if self.blur else ""
        for sample, data in samples(content):
            if self.reencode:
                data, sample["sha256"] = reencoded(sample["image_id"], data, self.reencode, sample.get(boxes))
            members = {self._image_name or extension_of(data): data, "json": canonical_json(sample)}
            if "texts" in sample:
                members["txt"] = (sample["texts"][0]["text"] or "").encode()
            shards.add(sample["image_id"], members)
        shards.close()
        return {f"data/{name}": count for name, count in shards.counts.items()}

    def check(self, folder: Path, shards: Mapping[str, int]) -> Iterator[Problem]:
        """Tar structure, key order and adjacency, one key set, ids against bytes, texts, decodability, counts."""
        last, key_set = "", None
        for name in sorted(shards):
            count = 0
            yield from _check_ending(folder, name)
            for key, members in read_samples(folder / name):
                count += 1
                if key <= last:
                    yield Problem(name, f"sample {key} is out of order or split", f"a key after {last}", key)
                last = max(last, key)
                image = sorted(set(members) - {"json", "txt"})
                kinds = (
                    len(image),
                    *sorted(set(members) & {"json", "txt"}),
                    *(image if self._image_name else []),
                )
                key_set = key_set or kinds
                if kinds != key_set:
                    yield Problem(name, f"key set of sample {key}", str(key_set), str(kinds))
                yield from self._check_sample(name, key, members)
            if count != shards[name]:
                yield Problem(name, "number of samples", str(shards[name]), str(count))

    def _check_sample(self, name: str, key: str, members: dict[str, bytes]) -> Iterator[Problem]:
        if not _KEY.fullmatch(key):
            yield Problem(name, "key is no image_id", "32 hexadecimal digits", key)
        images = [extension for extension in members if extension not in ("json", "txt")]
        if len(images) != 1 or "json" not in members:
            yield Problem(name, f"sample {key} is incomplete", "one image and one json", ", ".join(sorted(members)))
            return
        data = members[images[0]]
        expected = self._image_name or extension_of(data)
        if images[0] != expected:
            yield Problem(name, f"extension of the image of {key}", expected, images[0])
        sample = json.loads(members["json"])
        yield from image_problems(name, key, data, self.reencode, sample.get("sha256"))
        if sample.get("image_id") != key:
            yield Problem(name, "image_id in the json", key, str(sample.get("image_id")))
        if "txt" in members and members["txt"].decode() != (sample["texts"][0]["text"] or ""):
            yield Problem(
                name,
                f"txt of {key} is not the best text",
                repr(sample["texts"][0]["text"]),
                repr(members["txt"]),
            )

    def configs(self) -> list[dict[str, str]]:
        """One configuration: all shards."""
        return [{"config_name": "default", "data_files": "data/*.tar"}]

    def features(self, content: Content) -> list[dict[str, Any]]:
        """Members of a sample, and what the loader adds."""
        if self._image_name is None:
            return []
        fields = [*features(content), *([{"name": "sha256", "dtype": "string"}] if self.reencode else [])]
        text = [{"name": "txt", "dtype": "string"}] if content.unit == "pair" else []
        names = [{"name": name, "dtype": "string"} for name in ("__key__", "__url__")]
        return [{"name": self._image_name, "dtype": "image"}, {"name": "json", "struct": fields}, *text, *names]

    def record_sets(self, folder: Path, shards: list[str]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Images and their JSON as two record sets with the key in both."""
        parts = [("images", f"*.{self._image_name}", "sc:ImageObject", "image/*")] if self._image_name else []
        parts.append(("samples", "*.json", "sc:Text", "application/json"))
        sets, records = [], []
        for name, pattern, kind, encoding in parts:
            sets.append(file_set(f"{name}-in-shards", pattern, encoding, shards))
            key = field(
                f"{name}/key",
                "sc:Text",
                f"{name}-in-shards",
                file_property="filename",
                regex=r"([0-9a-f]{32})\.",
            )
            value = field(f"{name}/content", kind, f"{name}-in-shards", file_property="content")
            records.append({"@type": "cr:RecordSet", "@id": name, "name": name, "field": [key, value]})
        return sets, records

    def usage(self) -> str:
        """How to load it."""
        image = self._image_name or "jpg;png;gif;webp;avif;bmp;tiff"
        kind, digested = ("original", "bytes") if self.reencode is None else ("re-encoded", "original bytes")
        note = "`sha256` in `json` is that of the bytes here." if self.reencode else _EXTENSION_NOTE[self.extension]
        return f"""```python
import glob
import webdataset as wds

shards = sorted(glob.glob("data/*.tar"))
for image, sample in wds.WebDataset(shards, shardshuffle=False).decode("pilrgba").to_tuple("{image}", "json"):
    ...
```

Each sample holds the {kind} bytes of one image, `json` with its columns and all its kept texts (`texts`, the best
one first) and `txt`, the best text alone. The key is `image_id`, the first 32 hexadecimal digits of the SHA-256 of the
{digested}. `pilrgba` keeps transparency; `pil` makes RGB of everything, and of what is transparent whatever colour lies
under it. In `json`, unsigned 64-bit integers (hashes) are strings of digits. {note}
"""


_EXTENSION_NOTE = {
    "jpg": "Every image is named `.jpg`, whatever its format, so that all samples have one key set; "
    "decoders go by the bytes.",
    "format": "Images carry the extension of their real format.",
}


def read_samples(path: Path) -> Iterator[tuple[str, dict[str, bytes]]]:
    """(key, extension → bytes) of adjacent members of a tar shard, strictly: `ValueError` for anything unusual."""
    num_bytes = path.stat().st_size
    with tarfile.open(path, "r:") as tar:
        current: str | None = None
        members: dict[str, bytes] = {}
        for member in tar:
            key, dot, extension = member.name.partition(".")
            if not (_is_plain(member) and dot and key and extension):
                raise ValueError(f"unexpected member {member.name!r}")
            if not 0 <= member.size <= min(num_bytes - member.offset_data, MAX_MEMBER_BYTES):
                raise ValueError(f"member {member.name!r} cannot have {member.size} bytes")
            if key != current:
                if current is not None:
                    yield current, members
                current, members = key, {}
            if extension in members:
                raise ValueError(f"member {member.name!r} occurs twice")
            stream = tar.extractfile(member)
            data = stream.read() if stream else b""
            if len(data) != member.size:
                raise ValueError(f"member {member.name!r} is cut: {len(data)} of {member.size} bytes")
            members[extension] = data
        if current is not None:
            yield current, members


def _is_plain(member: tarfile.TarInfo) -> bool:
    """Just a header and its bytes: a sparse member is as large as it likes, an extended header rewrites sizes."""
    return member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and member.sparse is None and not member.pax_headers


def _check_ending(folder: Path, name: str) -> Iterable[Problem]:
    path = folder / name
    size = path.stat().st_size
    with path.open("rb") as stream:
        stream.seek(max(0, size - len(_END)), io.SEEK_SET)
        ended = stream.read() == _END
    if size % tarfile.RECORDSIZE or not ended:
        yield Problem(
            name,
            "tar is cut off",
            f"whole records of {tarfile.RECORDSIZE} bytes, zeros at the end",
            f"{size} bytes",
        )
