"""Small data sets as others lay them out, with what is wrong in real ones, for the sources that read them."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hostile_images
import pyarrow as pa
import pyarrow.parquet as pq

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
NUM_ROWS = 40


def _rows() -> list[dict[str, Any]]:
    return [
        {
            "url": f"https://host{number % 3}.test/{number}.jpg",
            "text": f"图文 text {number % 30}",
            "similarity": number / 40,
            "page": f"https://host.test/{number}" if number % 2 else None,
        }
        for number in range(NUM_ROWS)
    ]


def tar(entries: list[tuple[str, bytes]]) -> bytes:
    """An archive of plain files."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        for name, data in entries:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return sink.getvalue()


def write_webdataset(folder: Path) -> Path:
    """Two shards; the second is cut off."""
    entries: list[tuple[str, bytes]] = []
    for number, (row, data) in enumerate(
        zip(_rows(), [*hostile_images.images().values(), b"", b"<html>"], strict=False)
    ):
        entries += [(f"a.b/{number:04}.jpg", data), (f"a.b/{number:04}.txt", row["text"].encode())]
        entries += [
            (f"a.b/{number:04}.json", b"{" if number == 3 else json.dumps(row).encode()),
            (f"a.b/{number:04}.npy", b"1"),
        ]
    (folder / "00000.tar").write_bytes(tar(entries))
    (folder / "00001.tar").write_bytes(tar(entries[4:40])[:-30_000])
    return folder / "00000.tar"


def image_table() -> pa.Table:
    """Images of all formats, broken ones and nulls, with texts and scores."""
    files = [*hostile_images.images().items(), ("x.jpg", b""), ("y.jpg", b"<html>")]
    rows = _rows()[: len(files)]
    cells = [{"bytes": data, "path": name} for name, data in files]
    columns = {
        "image": pa.array([None, *cells[1:]], IMAGE),
        "text": pa.array([None if number == 5 else row["text"] for number, row in enumerate(rows)], pa.string()),
        "similarity": pa.array([row["similarity"] for row in rows], pa.float32()),
        "page": pa.array([row["page"] for row in rows], pa.string()),
    }
    return pa.table(columns)


def write_parquet(folder: Path) -> Path:
    """Images in small row groups."""
    pq.write_table(image_table(), folder / "0.parquet", row_group_size=5)
    return folder / "0.parquet"


def write_huggingface(folder: Path) -> Path:
    """The Arrow stream that `Dataset.save_to_disk` writes."""
    path = folder / "data-00000-of-00001.arrow"
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, image_table().schema) as writer:
        writer.write_table(image_table(), max_chunksize=7)
    return path


def write_documents(folder: Path) -> Path:
    """MMC4, with lines that are none."""
    lines = []
    for row in _rows():
        image = {"raw_url": row["url"], "matched_text_index": 1, "matched_sim": row["similarity"]}
        document = {
            "url": row["page"],
            "text_list": [f"Sentence {row['url']}", row["text"]],
            "image_info": [image, 7, {}],
        }
        lines.append(json.dumps(document, ensure_ascii=False))
    path = folder / "docs_shard_0.jsonl"
    path.write_text("\n".join([*lines, "{", "[]", "{}", lines[0]]), encoding="utf-8")
    return path


def write_obelics(folder: Path) -> Path:
    """Texts and images side by side, metadata as strings of JSON, one of them none."""
    rows = [
        {
            "images": [row["url"], None],
            "texts": [None, row["text"]],
            "metadata": "{" if number == 3 else json.dumps([{"alt_text": row["text"], "original_width": 640}, None]),
            "general_metadata": json.dumps({"url": row["page"]}),
        }
        for number, row in enumerate(_rows())
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "train-00000-of-00001.parquet")
    return folder / "train-00000-of-00001.parquet"


def write_wanjuan(folder: Path) -> Path:
    """Markdown and a list of images."""
    lines = []
    for number, row in enumerate(_rows()):
        images = [{"url": row["url"], "sha256": "ab" * 32, "caption": row["text"], "width": "400"}]
        content = f"# 标题\n![]({row['url']})\n正文 {number}"
        lines.append(json.dumps({"id": str(number), "img_list": images, "content": content}))
    (folder / "part-000.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder / "part-000.jsonl"


WRITERS: dict[str, Callable[[Path], Path]] = {
    "documents": write_documents,
    "huggingface": write_huggingface,
    "parquet": write_parquet,
    "webdataset": write_webdataset,
}
"""Source → writes a data set into a folder and returns one of its files."""
