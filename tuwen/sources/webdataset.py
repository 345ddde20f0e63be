"""WebDataset shards: tar files in which the members of a sample share a key. <https://github.com/webdataset/webdataset>"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pyarrow as pa

from tuwen.sources import Report, Unit
from tuwen.sources.datasets.files import find_files, unit_of
from tuwen.sources.datasets.mapping import ColumnMapping, Columns, Keep, pair_rows
from tuwen.sources.datasets.plain_json import BadJson, objects_in, parse_object
from tuwen.sources.datasets.released import ReleasedRows, is_released_image, is_released_pair
from tuwen.sources.datasets.row_batches import BATCH_BYTES, RowBatches, embedded
from tuwen.sources.datasets.tar import Member, members
from tuwen.sources.sniffing import image_format

MAX_IMAGE_BYTES = 64 << 20
MAX_TEXT_BYTES = 4 << 20
_SUFFIXES = (".tar", ".tar.gz", ".tgz")
_IMAGES = frozenset({"jpg", "jpeg", "png", "webp", "gif", "avif", "heic", "bmp", "tif", "tiff", "ico", "jxl", "jp2"})
_TEXTS = frozenset({"txt", "json"})
_MOST_TEXTS = 16  # members of one sample that hold text
_MOST_KINDS = 10  # of members that are passed over, in a report
_ROW_BYTES = 2_000  # about what a sample takes beside its image and texts
_JSON = "json."


@dataclass(frozen=True)
class Webdataset:
    """Tar shards (plain or gzip), one unit per shard: img2dataset's output, LAION, DataComp, tuwen's own releases.

    A sample is a run of members with one key: folder and base name up to the first dot. It has one image, whose bytes
    are kept as they are, and texts. Fields of `KEY.json` that are not mapped go into the pairs' `given`. Members that
    are neither image, text nor JSON are passed over, as are links, sparse and special members; the report counts them.

    Releases of tuwen are recognised by what their JSON says and come back with their own ids (`columns` is not used):
    see `tuwen.sources.datasets.released`.
    """

    paths: list[str]
    """Files, folders (searched for .tar, .tar.gz, .tgz) and globs."""
    columns: Columns = field(default_factory=lambda: {"text": "txt"})
    """Our name → theirs: a field of the JSON (`caption`, or `json.caption`) or a member by its extension (`txt`).
    `image` names the member with the image, where a sample has several: `left.jpg`."""
    keep: Keep = "all"
    """Other fields of the JSON that go into `given`: all, or these."""
    max_image_bytes: int = MAX_IMAGE_BYTES

    version: ClassVar[int] = 1
    places: ClassVar[tuple[str, ...]] = ("paths",)
    whole_documents: ClassVar[bool] = False

    def __post_init__(self) -> None:
        self._mapping()

    def _mapping(self) -> ColumnMapping:
        keep: Keep = "all" if self.keep == "all" else [_field(name) for name in self.keep]
        return ColumnMapping.of({name: _fields(theirs) for name, theirs in self.columns.items()}, keep, own=("image",))

    def units(self) -> list[Unit]:
        """One unit per file, sorted by path; of files with the same base name and bytes, one."""
        units: dict[str, Unit] = {}
        for location in find_files(self.paths, _SUFFIXES, "webdataset"):
            unit = unit_of(location, "webdataset")
            units.setdefault(unit.name, unit)
        return list(units.values())

    def read(self, unit: Unit, report: Report) -> Iterator[tuple[str, pa.RecordBatch]]:
        """Rows of one shard, in the order of its samples."""
        yield from _Reading(self._mapping(), self.max_image_bytes, report).rows(unit.location)


def _fields(theirs: Any) -> Any:
    if isinstance(theirs, dict):
        return {name: _fields(value) for name, value in theirs.items()}
    return [_field(name) for name in theirs] if isinstance(theirs, list) else _field(theirs)


def _field(name: Any) -> str:
    return str(name).removeprefix(_JSON)


@dataclass
class _Sample:
    key: str
    image: bytes | None = None
    texts: dict[str, bytes] = field(default_factory=dict)  # by extension
    is_beside_damage: bool = False  # a member of it may be lost

    @property
    def parts(self) -> set[str]:
        """What there is of it."""
        return {*self.texts, *(["image"] if self.image is not None else [])}


class _Reading:
    """One pass over a shard."""

    def __init__(self, mapping: ColumnMapping, max_image_bytes: int, report: Report) -> None:
        self._mapping, self._max_image_bytes, self._report = mapping, max_image_bytes, report
        self._named = {*mapping.used, *mapping.renamed, *(mapping.keep or ())}
        self._rows = RowBatches()
        self._released = ReleasedRows(self._rows, report, mapping.keep)
        self._passed_over: Counter[str] = Counter()
        self._bad: Counter[str] = Counter()
        self._refs: list[str] = []
        self._values: list[dict[str, Any]] = []
        self._num_bytes = 0  # of what waits in the two

    def rows(self, location: str) -> Iterator[tuple[str, pa.RecordBatch]]:
        for sample in self._samples(location):
            self._report.num_records += 1
            self._add(sample)
            if self._rows.full or self._num_bytes >= BATCH_BYTES:
                yield from self._flush()
        yield from self._flush(last=True)
        for what, count in [*self._bad.most_common(), *self._passed_over.most_common(_MOST_KINDS)]:
            self._report.messages.append(f"{count} {what}")
        self._released.finish()
        self._rows.tell_repeats(self._report)

    def _samples(self, location: str) -> Iterator[_Sample]:
        sample: _Sample | None = None
        usual: set[str] | None = None  # members of the first sample
        is_beside_damage = False
        for member in members(location, self._report, self._wanted):
            if member.kind == "damaged":
                is_beside_damage = True
                if sample is not None:
                    sample.is_beside_damage = True
                continue
            if member.kind != "file":
                self._passed_over[f"members of kind {member.kind} were passed over"] += 1
                continue
            key, extension = _split(member.name)
            if sample is None or key != sample.key:
                if sample is not None:
                    yield from self._whole(sample, usual)
                    usual = usual or (None if sample.is_beside_damage else sample.parts)
                sample = _Sample(key, is_beside_damage=is_beside_damage)
                is_beside_damage = False
            self._keep_member(sample, extension, member)
        if sample is not None:
            yield from self._whole(sample, usual)

    def _whole(self, sample: _Sample, usual: set[str] | None) -> Iterator[_Sample]:
        """The sample, unless it stands where the shard is damaged and lacks what others have."""
        if sample.is_beside_damage and not sample.parts >= (usual or {"image", "json", "txt"}):
            self._bad["samples were cut off and left out"] += 1  # the damage has been counted
        else:
            yield sample

    def _wanted(self, name: str, num_bytes: int) -> bool:
        _, extension = _split(name)
        if self._is_image(extension):
            return num_bytes <= self._max_image_bytes
        return self._is_text(extension) and num_bytes <= MAX_TEXT_BYTES

    def _is_text(self, extension: str) -> bool:
        return extension.rpartition(".")[2] in _TEXTS or extension in self._named

    def _is_image(self, extension: str) -> bool:
        named = self._mapping.own.get("image")
        return extension == named if named else extension.rpartition(".")[2] in _IMAGES

    def _keep_member(self, sample: _Sample, extension: str, member: Member) -> None:
        is_image = self._is_image(extension)
        if member.data is None:
            kind = extension.rpartition(".")[2]
            if is_image or self._is_text(extension):
                self._bad["members are too large to be read"] += 1
            else:
                hint = "; `tuwen join` attaches such values by key" if kind in ("npy", "npz", "parquet") else ""
                self._passed_over[f"members .{kind[:20]} were passed over{hint}"] += 1
        elif is_image:
            if sample.image is None:
                sample.image = member.data
            else:
                self._passed_over["further images of a sample were passed over (name the one with columns.image)"] += 1
        elif len(sample.texts) < _MOST_TEXTS:
            sample.texts.setdefault(extension, member.data)

    def _add(self, sample: _Sample) -> None:
        if sample.image is None or not image_format(sample.image):
            self._report.num_bad_records += 1
            self._bad["samples have no image" if sample.image is None else "samples hold what is no image"] += 1
            return
        values: dict[str, Any] = {}
        if (described := sample.texts.get("json")) is not None:
            try:
                values = parse_object(described)
            except BadJson:
                self._report.num_bad_records += 1
                self._bad["samples have JSON that cannot be read"] += 1
        texts = objects_in(values.get("texts"))
        if texts and is_released_pair({*values, *texts[0]}):
            for text in texts:
                self._released.add({**values, **text}, sample.image)
        elif is_released_image(values, sample.image):
            self._released.add(values, sample.image)
        else:
            members = {name: data.decode("utf-8", "replace") for name, data in sample.texts.items() if name != "json"}
            self._refs.append(embedded(self._rows.add_image(sample.image)))
            self._values.append(values | members)
            self._num_bytes += _ROW_BYTES + sum(map(len, sample.texts.values()))

    def _flush(self, *, last: bool = False) -> Iterator[tuple[str, pa.RecordBatch]]:
        if self._refs:  # images and their pairs go together
            self._rows.add_pairs(pair_rows(pa.array(self._refs, pa.string()), self._mapping.of_rows(self._values)))
            self._refs, self._values, self._num_bytes = [], [], 0
        yield from self._rows.batches(last=last)


def _split(name: str) -> tuple[str, str]:
    """Key and extension of a member: the base name is parted at its first dot."""
    folder, slash, base = name.rpartition("/")
    stem, _, extension = base.partition(".")
    return folder + slash + stem, extension.lower()
