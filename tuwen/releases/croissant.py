"""The Croissant file: files, checksums and fields in JSON-LD. <https://docs.mlcommons.org/croissant/docs/croissant-spec.html>

Written by hand for Croissant 1.0, so that a release needs no extra; the tests validate it with mlcroissant.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from tuwen.releases.manifest import Manifest, ReleaseFile, canonical_json

CROISSANT = "croissant.json"
_VERSION = "http://mlcommons.org/croissant/1.0"
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "dct": "http://purl.org/dc/terms/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "conformsTo": "dct:conformsTo",
    **{
        name: f"cr:{name}"
        for name in (
            *(
                "citeAs",
                "column",
                "equivalentProperty",
                "extract",
                "field",
                "fileObject",
                "fileProperty",
                "fileSet",
            ),
            *(
                "format",
                "includes",
                "isLiveDataset",
                "jsonPath",
                "key",
                "md5",
                "parentField",
                "path",
                "recordSet",
            ),
            *(
                "references",
                "regex",
                "repeated",
                "replace",
                "samplingRate",
                "separator",
                "source",
                "subField",
                "transform",
            ),
        )
    },
}
_ENCODINGS = {
    "parquet": "application/x-parquet",
    "tar": "application/x-tar",
    "txt": "text/plain",
    "npy": "application/octet-stream",
    "jsonl": "application/jsonlines",
}


def croissant(
    manifest: Manifest,
    shards: Mapping[str, ReleaseFile],
    distribution: list[dict[str, Any]],
    record_sets: list[dict[str, Any]],
    *,
    name: str,
    description: str,
    licenses: list[str],
) -> bytes:
    """The file's bytes. `licenses` are URLs or names as the evidence gave them; none: not known, and said so."""
    objects = [
        {
            "@type": "cr:FileObject",
            "@id": path,
            "name": path,
            "contentUrl": path,
            "contentSize": f"{entry.num_bytes} B",
            "encodingFormat": _ENCODINGS[path.rsplit(".", 1)[-1]],
            "sha256": entry.sha256,
        }
        for path, entry in sorted(shards.items())
    ]
    return canonical_json(
        {
            "@context": _CONTEXT,
            "@type": "sc:Dataset",
            "conformsTo": _VERSION,
            "name": name,
            "description": description,
            "license": licenses or ["not known to tuwen; the datasheet lists the evidence"],
            "version": "1.0.0",  # a release never changes; another one is another dataset
            "distribution": objects + distribution,
            "recordSet": record_sets,
        },
        indent=1,
    )


def file_set(identity: str, pattern: str, encoding: str, contained_in: list[str] | None = None) -> dict[str, Any]:
    """Files by a glob: beside the Croissant file, or inside the archives `contained_in`."""
    described: dict[str, Any] = {
        "@type": "cr:FileSet",
        "@id": identity,
        "name": identity,
        "includes": pattern,
    }
    described["encodingFormat"] = encoding
    if contained_in:
        described["containedIn"] = [{"@id": path} for path in sorted(contained_in)]
    return described


def field(
    identity: str,
    kind: str,
    source: str,
    *,
    column: str | None = None,
    file_property: str | None = None,
    json_path: str | None = None,
    regex: str | None = None,
    repeated: bool = False,
) -> dict[str, Any]:
    """One field of a record set, read from a column of a table or from a property of a file."""
    extract = {"column": column} if column else {"fileProperty": file_property}
    described: dict[str, Any] = {"fileSet": {"@id": source}, "extract": extract}
    transforms = [{key: value} for key, value in (("jsonPath", json_path), ("regex", regex)) if value]
    if transforms:
        described["transform"] = transforms
    result = {"@type": "cr:Field", "@id": identity, "name": identity, "dataType": kind, "source": described}
    return {**result, "repeated": True} if repeated else result


def parquet_records(name: str, folder: str, shard: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(file set, record set) for the Parquet shards in `folder`, with the columns that `shard` has."""
    import pyarrow.parquet as pq

    source = f"{name}-shards"
    fields = []
    for column in pq.read_schema(shard):
        identity = f"{name}/{column.name}"
        repeated = pa.types.is_list(column.type) or pa.types.is_fixed_size_list(column.type)
        kind = _data_type(column.type.value_type if repeated else column.type)
        if column.name == "image":
            fields.append(field(identity, "sc:ImageObject", source, column="image", json_path="bytes"))
        elif kind:
            fields.append(field(identity, kind, source, column=column.name, repeated=repeated))
    record_set = {"@type": "cr:RecordSet", "@id": name, "name": name, "field": fields}
    return [file_set(source, f"{folder}/*.parquet", _ENCODINGS["parquet"])], [record_set]


def _data_type(kind: pa.DataType) -> str | None:
    """Croissant's word for an Arrow type; None for those it has no word for."""
    if pa.types.is_string(kind):
        return "sc:Text"
    if pa.types.is_boolean(kind):
        return "sc:Boolean"
    if pa.types.is_integer(kind):
        return "sc:Integer"
    if pa.types.is_floating(kind):
        return "sc:Float"
    if pa.types.is_timestamp(kind):
        return "sc:DateTime"
    return None
