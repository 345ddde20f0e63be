"""Hugging Face data sets: saved on disk, or on the hub. <https://huggingface.co/docs/datasets>"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from tuwen.errors import TuwenError, UsageError, missing_extra
from tuwen.sources import Report, Unit
from tuwen.sources.datasets.files import unit_of
from tuwen.sources.datasets.mapping import ColumnMapping, Columns, Keep
from tuwen.sources.datasets.row_batches import BATCH_BYTES
from tuwen.sources.datasets.rows import complain
from tuwen.sources.datasets.table_rows import TableRows, layout_of
from tuwen.sources.parquet import Parquet
from tuwen.sources.webdataset import MAX_IMAGE_BYTES

_COMMIT = re.compile(r"[0-9a-f]{40}")
_HUB_ROWS = 64  # read at a time
_ON_HUB = "hub"


@dataclass(frozen=True)
class Huggingface:
    """A folder that `Dataset.save_to_disk` wrote (or any of Arrow and Parquet files), or a data set of the hub.

    On disk: one unit per file, for Parquet per range of row groups; memory-mapped, nothing but tuwen is needed. From
    the hub: streamed, one unit per shard, named by the commit; needs `pip install 'tuwen[huggingface]'`. Images are
    kept as they are, never decoded. Columns are mapped as in the source `parquet`.
    """

    path: str | None = None
    """A folder."""
    name: str | None = None
    """An id on the hub: `owner/name`. One of `path` and `name` is given."""
    split: str | None = None
    """null: the only one; of the hub: train."""
    config: str | None = None
    revision: str | None = None
    """Branch, tag or commit; a commit makes the corpus repeatable."""
    columns: Columns = field(default_factory=dict)
    """Our name → theirs: image, url, text, sha256, md5; any other name is a field of `given`."""
    keep: Keep = "all"
    max_image_bytes: int = MAX_IMAGE_BYTES

    version: ClassVar[int] = 1
    places: ClassVar[tuple[str, ...]] = ("path",)
    whole_documents: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if (self.path is None) == (self.name is None):
            raise ValueError("give either path (a folder on this machine) or name (an id on the hub)")
        self._mapping()

    def _mapping(self) -> ColumnMapping:
        return ColumnMapping.of(self.columns, self.keep, own=("image", "url"))

    def _parquet(self, folder: str) -> Parquet:
        return Parquet([folder], self.columns, self.keep, self.max_image_bytes)

    def units(self) -> list[Unit]:
        """Files of the folder by path, or shards on the hub. `UsageError` where there is no such data set or split."""
        if self.path is None:
            return self._hub_units()
        folder = self._split_folder(Path(self.path).expanduser())
        files = sorted(str(file) for file in folder.rglob("*.arrow") if not file.name.startswith("cache-"))
        units: dict[str, Unit] = {}
        for location in files:
            unit = unit_of(location, "huggingface")
            units.setdefault(unit.name, unit)
            with contextlib.suppress(pa.ArrowException, OSError):  # told when it is read
                layout_of(_arrow_schema(location), self._mapping(), location)
        if any(folder.rglob("*.parquet")):
            units.update({unit.name: unit for unit in self._parquet(str(folder)).units()})
        if not units:
            raise UsageError(f"huggingface: the folder {self.path!r} holds no .arrow and no .parquet")
        return list(units.values())

    def read(self, unit: Unit, report: Report) -> Iterator[tuple[str, pa.RecordBatch]]:
        """Rows of one file or shard, in their order."""
        if isinstance(unit.payload, tuple) and unit.payload[0] == _ON_HUB:
            yield from self._rows(_hub_batches(self._hub(unit.payload[1]), *unit.payload[2:]), unit, report)
        elif unit.location.endswith(".parquet"):
            yield from self._parquet(unit.location).read(unit, report)
        else:
            yield from self._rows(_arrow_batches(unit.location), unit, report)

    def _rows(
        self, batches: Iterator[pa.RecordBatch], unit: Unit, report: Report
    ) -> Iterator[tuple[str, pa.RecordBatch]]:
        rows: TableRows | None = None
        try:
            for batch in batches:
                rows = rows or TableRows(
                    layout_of(batch.schema, self._mapping(), unit.location), report, self.max_image_bytes
                )
                yield from rows.add(batch)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            complain(
                report,
                f"{type(error).__name__}: {str(error)[:300]}",
                "damaged" if report.num_records else "unreadable",
            )
        if rows is not None:
            yield from rows.finish()

    def _split_folder(self, folder: Path) -> Path:
        if not folder.is_dir():
            raise UsageError(f"huggingface: {self.path!r} is no folder; here is {str(Path.cwd())!r}")
        if self.split is not None and not (folder / "state.json").is_file():
            if self.split not in _splits_of(folder):
                raise UsageError(f"huggingface: {self.path!r} has no split {self.split!r}; {_splits(folder)}")
            return folder / self.split
        if self.split is None and (folder / "dataset_dict.json").is_file() and len(_splits_of(folder)) > 1:
            raise UsageError(f"huggingface: {self.path!r} has several splits; give `split`. {_splits(folder)}")
        return folder

    def _hub(self, revision: str | None) -> Any:
        try:
            import datasets
        except ImportError as error:
            raise missing_extra("huggingface", "datasets") from error
        return datasets.load_dataset(
            self.name, self.config, split=self.split or "train", revision=revision, streaming=True
        )

    def _hub_units(self) -> list[Unit]:
        try:
            commit = self._commit()
            num_shards = self._hub(commit).num_shards
        except TuwenError:
            raise
        except Exception as error:  # of the hub, of the network, of the data set: as many classes as libraries
            raise UsageError(
                f"huggingface: cannot read {self.name!r} (config {self.config}, split {self.split or 'train'}, "
                f"revision {self.revision}) from the hub: {type(error).__name__}: {str(error)[:300]}. Without a "
                "network, save it elsewhere with Dataset.save_to_disk and give the folder as `path`"
            ) from error
        stem = f"{self.name}@{commit[:12]}:{self.config or 'default'}:{self.split or 'train'}"
        return [
            Unit(f"{stem}:{shard}-of-{num_shards}", f"hf://datasets/{self.name}", (_ON_HUB, commit, num_shards, shard))
            for shard in range(num_shards)
        ]

    def _commit(self) -> str:
        if self.revision and _COMMIT.fullmatch(self.revision):
            return self.revision
        try:
            from huggingface_hub import HfApi
        except ImportError as error:
            raise missing_extra("huggingface", "datasets") from error
        return str(HfApi().dataset_info(str(self.name), revision=self.revision, timeout=30).sha)


def _hub_batches(dataset: Any, num_shards: int, shard: int) -> Iterator[pa.RecordBatch]:
    import datasets

    for name, feature in (dataset.features or {}).items():
        if isinstance(feature, datasets.Image):
            dataset = dataset.cast_column(name, datasets.Image(decode=False))
    try:
        for table in dataset.shard(num_shards, shard).with_format("arrow").iter(_HUB_ROWS):
            yield from table.combine_chunks().to_batches()
    except pa.ArrowException:
        raise
    except Exception as error:  # a rerun may succeed, so this is no damaged unit
        raise TuwenError(f"huggingface: the hub broke off: {type(error).__name__}: {error}; run again") from error


def _arrow_schema(location: str) -> pa.Schema:
    with pa.memory_map(location) as source:
        return _opened(source)[0]


def _arrow_batches(location: str) -> Iterator[pa.RecordBatch]:
    """Slices of about 8 MB of a memory-mapped Arrow file."""
    with pa.memory_map(location) as source:
        for batch in _opened(source)[1]:
            batch.validate(full=True)  # offsets of a damaged file lead anywhere
            step = max(1, BATCH_BYTES * batch.num_rows // max(1, batch.nbytes))
            for start in range(0, batch.num_rows, step):
                yield batch.slice(start, step)


def _opened(source: Any) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """Schema and batches, of the file format or of the stream that `datasets` writes."""
    if source.read(6) == b"ARROW1":
        file = pa.ipc.open_file(source)
        return file.schema, map(file.get_batch, range(file.num_record_batches))
    source.seek(0)
    stream = pa.ipc.open_stream(source)
    return stream.schema, iter(stream)


def _splits_of(folder: Path) -> list[str]:
    return sorted(part.name for part in folder.iterdir() if part.is_dir() and not part.name.startswith("."))


def _splits(folder: Path) -> str:
    return f"There: {', '.join(_splits_of(folder)) or 'no folders'}"
