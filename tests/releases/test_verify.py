"""`verify` finds every changed byte, and what was wrong before the seal."""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tuwen.errors import TuwenError
from tuwen.releases.manifest import Manifest, file_entry, read_manifest
from tuwen.releases.release import write_release
from tuwen.releases.shards import MAX_CHUNK_VALUES, read_parquet
from tuwen.releases.verify import verify


@pytest.fixture(scope="module")
def originals(world, tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("originals")
    for name, unit in (("webdataset", "pair"), ("parquet", "pair"), ("documents", "document")):
        write_release(world.corpus, world.ledgers[unit], folder / name, name, {"samples_per_shard": 5})
    return {path.name: path for path in folder.iterdir()}


@pytest.fixture
def copy(originals, tmp_path) -> Callable[[str], Path]:
    return lambda name: Path(shutil.copytree(originals[name], tmp_path / name))


def reseal(folder: Path) -> None:
    """Make the manifest vouch for whatever is there now, as a careless or dishonest publisher would."""
    manifest = read_manifest(folder)
    files = {name: file_entry(folder / name, entry.num_samples) for name, entry in manifest.files.items()}
    (folder / "manifest.json").write_bytes(replace(manifest, files=files).to_bytes())


def whats(folder: Path) -> str:
    return "\n".join(str(problem) for problem in verify(folder))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_any_changed_byte_is_found(originals, data):
    """One byte flipped, removed or added, in any file, at any place. The original is put back afterwards."""
    release = originals[data.draw(st.sampled_from(sorted(originals)), "release")]
    files = sorted(path for path in release.rglob("*") if path.is_file())
    path = data.draw(st.sampled_from(files), "file")
    original = path.read_bytes()
    place = data.draw(st.integers(0, len(original) - 1), "place")
    change = data.draw(st.sampled_from(("flip", "remove", "add", "cut")), "change")
    changed = {
        "flip": original[:place] + bytes([original[place] ^ data.draw(st.integers(1, 255))]) + original[place + 1 :],
        "remove": original[:place] + original[place + 1 :],
        "add": original[:place] + bytes([data.draw(st.integers(0, 255))]) + original[place:],
        "cut": original[:place],
    }[change]
    try:
        path.write_bytes(changed)
        assert verify(release)
    finally:
        path.write_bytes(original)


def test_untouched_copies_are_whole(copy, originals):
    for name in originals:
        assert verify(copy(name)) == []


def test_missing_and_extra_files(copy):
    release = copy("parquet")
    (release / "data/00001.parquet").unlink()
    (release / "notes.txt").write_text("hello")
    (release / "empty").mkdir()
    (release / "data/link.parquet").symlink_to(release / "data/00000.parquet")
    found = {(problem.file, problem.what) for problem in verify(release)}
    assert ("data/00001.parquet", "is missing") in found
    assert ("notes.txt", "is not in the manifest") in found
    assert ("empty", "is not in the manifest") in found
    assert ("data/link.parquet", "is neither a file nor a folder") in found


def test_no_manifest_and_no_folder(copy, tmp_path):
    release = copy("parquet")
    (release / "manifest.json").unlink()
    assert "no release" in whats(release)
    with pytest.raises(TuwenError):
        verify(tmp_path / "nowhere")


def test_a_problem_says_what_was_expected_and_found(copy):
    release = copy("parquet")
    path = release / "recipe.json"
    path.write_bytes(path.read_bytes() + b" ")
    (problem,) = verify(release)
    assert (problem.file, problem.what) == ("recipe.json", "size in bytes")
    assert int(problem.found) == int(problem.expected) + 1


def test_one_damaged_shard_does_not_hide_the_others(copy):
    release = copy("parquet")
    for name in ("data/00000.parquet", "data/00002.parquet"):
        (release / name).write_bytes(b"PAR1 nonsense PAR1")
    unreadable = [problem.file for problem in verify(release) if problem.what.startswith("cannot be read")]
    assert unreadable == ["data/00000.parquet", "data/00002.parquet"]


# What a matching manifest cannot excuse -----------------------------------------------------------------------------


def test_a_gap_between_shards(copy):
    release = copy("webdataset")
    manifest = read_manifest(release)
    (release / "data/00001.tar").rename(release / "data/00009.tar")
    files = dict(manifest.files)
    files["data/00009.tar"] = files.pop("data/00001.tar")
    (release / "manifest.json").write_bytes(replace(manifest, files=files).to_bytes())
    assert "shards have a gap" in whats(release)


def test_a_truncated_tar(copy):
    release = copy("webdataset")
    path = release / "data/00000.tar"
    path.write_bytes(path.read_bytes()[:-512])
    reseal(release)
    assert "tar is cut off" in whats(release)


@pytest.mark.parametrize("half", ["header", "body"])
def test_a_tar_that_ends_within_a_sample(copy, half):
    release = copy("webdataset")
    path = release / "data/00000.tar"
    with tarfile.open(path) as tar:
        member = tar.getmembers()[3]
    path.write_bytes(path.read_bytes()[: member.offset + (100 if half == "header" else 600)])
    reseal(release)
    assert "00000.tar" in whats(release)


def rewrite(path: Path, change: Callable[[list[tuple[str, bytes]]], list[tuple[str, bytes]]]) -> None:
    with tarfile.open(path) as tar:
        members = [(member.name, tar.extractfile(member).read()) for member in tar]
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in change(members):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda members: [*members[3:6], *members[:3], *members[6:]], "out of order"),
        (lambda members: [members[0], *members[3:], *members[1:3]], "out of order or split"),
        (lambda members: members[1:], "incomplete"),
        (lambda members: [m for m in members if m != members[2]], "key set"),
        (lambda members: members[:-3], "number of samples"),
        (lambda members: [(members[0][0], members[3][1]), *members[1:]], "SHA-256 prefix"),
        (lambda members: [*members[:2], (members[2][0], b"another text"), *members[3:]], "best text"),
        (lambda members: [members[0], (members[1][0], b"{"), *members[2:]], "cannot be read"),
        (lambda members: [members[0], *members], "cannot be read"),
        (lambda members: [("a.b.c/d.jpg", b""), *members], "key"),
    ],
)
def test_samples_torn_apart(copy, change, what):
    release = copy("webdataset")
    rewrite(release / "data/00000.tar", change)
    reseal(release)
    assert what in whats(release)


def test_an_image_that_does_not_decode(copy):
    release = copy("parquet")
    path = release / "data/00000.parquet"
    table = pq.read_table(path)
    rows = table.to_pylist()
    rows[0]["image"]["bytes"] = rows[0]["image"]["bytes"][:-50]
    pq.write_table(type(table).from_pylist(rows, schema=table.schema), path)
    reseal(release)
    assert "SHA-256 prefix" in whats(release)


def test_rows_lost_from_a_parquet_shard(copy):
    release = copy("parquet")
    path = release / "data/00000.parquet"
    pq.write_table(pq.read_table(path).slice(1), path)
    reseal(release)
    assert "number of rows" in whats(release)


def test_a_column_twice(copy):
    release = copy("documents")
    path = release / "data/00000.parquet"
    table = pq.read_table(path)
    pq.write_table(table.append_column("num_images", table["num_images"]), path)
    described = json.loads((release / "croissant.json").read_text())
    described["recordSet"][0]["field"].append(described["recordSet"][0]["field"][0])
    (release / "croissant.json").write_text(json.dumps(described))
    reseal(release)
    found = whats(release)
    assert "data/00000.parquet: column 'num_images' occurs more than once" in found
    assert "croissant.json: field 'default/document_id' occurs more than once" in found


def test_documents_without_their_images(copy):
    release = copy("documents")
    path = release / "images/00000.parquet"
    pq.write_table(pq.read_table(path).slice(1), path)
    reseal(release)
    assert "is missing" in whats(release)


def test_documents_out_of_step(copy):
    release = copy("documents")
    path = release / "data/00000.parquet"
    table = pq.read_table(path)
    rows = table.to_pylist()
    rows[0]["texts"] = rows[0]["texts"][1:]
    pq.write_table(type(table).from_pylist(rows, schema=table.schema), path)
    reseal(release)
    assert "not aligned" in whats(release)


def test_descriptions_that_contradict_the_shards(copy):
    release = copy("parquet")
    card = release / "README.md"
    card.write_text(card.read_text().replace("data/*.parquet", "shards/*.parquet"))
    croissant = release / "croissant.json"
    croissant.write_text(
        croissant.read_text().replace(read_manifest(release).files["data/00000.parquet"].sha256, "0" * 64)
    )
    pq.write_table(pq.read_table(release / "decisions.parquet").slice(1), release / "decisions.parquet")
    reseal(release)
    found = whats(release)
    assert (
        "matches no file" in found and "SHA-256 of data/00000.parquet" in found and "decisions.parquet: number" in found
    )


@pytest.mark.parametrize("name", ["../outside.txt", "/etc/hostname"])
def test_a_manifest_that_leads_out_of_the_release(copy, name):
    release = copy("parquet")
    (release.parent / "outside.txt").write_text("secret")
    manifest = read_manifest(release)
    files = {**manifest.files, name: replace(manifest.files["README.md"])}
    (release / "manifest.json").write_bytes(replace(manifest, files=files).to_bytes())
    (problem,) = verify(release)
    assert (problem.file, problem.what) == (name, "leads out of the release")


def test_a_card_without_front_matter(copy):
    release = copy("parquet")
    (release / "README.md").write_text("# nothing")
    reseal(release)
    assert "front matter" in whats(release)


def test_the_manifest_reads_back_as_written(originals):
    manifest = read_manifest(originals["parquet"])
    assert Manifest.from_bytes(manifest.to_bytes()) == manifest


# What is made to harm whoever verifies it --------------------------------------------------------------------------


def enter(folder: Path, name: str) -> None:
    """Put one more name into the manifest, vouched for by the entry of another file."""
    manifest = read_manifest(folder)
    files = {**manifest.files, name: manifest.files["README.md"]}
    (folder / "manifest.json").write_bytes(replace(manifest, files=files).to_bytes())


@pytest.mark.parametrize("name", ["README.md", "manifest.json", "data/00000.parquet"])
@pytest.mark.parametrize("kind", ["pipe", "link", "dangling link"])
def test_nothing_but_files_is_opened(copy, tmp_path, name, kind):
    path = copy("parquet") / name
    path.rename(tmp_path / "outside")
    if kind == "pipe":
        os.mkfifo(path)  # whoever opens it waits for ever
    else:
        path.symlink_to(tmp_path / ("outside" if kind == "link" else "nowhere"))
    assert (name, "is neither a file nor a folder") in {(each.file, each.what) for each in verify(tmp_path / "parquet")}


def test_a_folder_that_is_a_link_is_not_followed(copy, tmp_path):
    release = copy("parquet")
    (release / "data").rename(tmp_path / "outside")
    (release / "data").symlink_to(tmp_path / "outside")
    found = {(problem.file, problem.what) for problem in verify(release)}
    assert {("data", "is neither a file nor a folder"), ("data/00000.parquet", "is missing")} <= found


@pytest.mark.parametrize(
    "headers", [{}, {"GNU.sparse.size": str(200 << 30), "GNU.sparse.map": "0,1"}, {"size": "-512"}]
)
def test_a_member_larger_than_its_shard(copy, headers):
    """Sparse as old GNU tar has it, sparse as an extended header has it, and a size that leads back."""
    release = copy("webdataset")
    member = tarfile.TarInfo("0" * 32 + ".jpg")
    if headers:
        member.pax_headers = headers
        data = member.tobuf(tarfile.PAX_FORMAT)
    else:
        member.type = tarfile.GNUTYPE_SPARSE
        header = bytearray(member.tobuf(tarfile.GNU_FORMAT))
        header[386:410] = b"%011o\0%011o\0" % (0, 0)
        header[483:495] = b"\x80" + (200 << 30).to_bytes(11, "big")  # the real size
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header[:512])
        data = bytes(header)
    (release / "data/00000.tar").write_bytes(data.ljust(tarfile.RECORDSIZE, b"\0"))
    reseal(release)
    assert "data/00000.tar: cannot be read: ValueError: unexpected member" in whats(release)


def test_a_small_parquet_file_that_holds_too_much(copy):
    release = copy("parquet")
    path = release / "data/00000.parquet"
    rows = MAX_CHUNK_VALUES + 1
    pq.write_table(pa.table({"image_id": pa.nulls(rows, pa.int8())}), path, row_group_size=rows)
    assert path.stat().st_size < 100_000
    reseal(release)
    assert "data/00000.parquet: cannot be read: ValueError: row group 0 has a column" in whats(release)


def test_a_long_run_of_one_long_value_is_read_in_small_batches(tmp_path):
    value = pa.DictionaryArray.from_arrays(pa.array(np.zeros(20_000, np.int32)), pa.array(["x" * 1_000_000]))
    pq.write_table(pa.table({"rule": value}), tmp_path / "bomb.parquet", store_schema=False, compression="zstd")
    assert (tmp_path / "bomb.parquet").stat().st_size < 10_000  # and 20 GB in memory
    sizes = {batch.nbytes for batch, _ in zip(read_parquet(tmp_path / "bomb.parquet"), range(3), strict=False)}
    assert max(sizes) <= 65 << 20


@pytest.mark.parametrize("name", ["a" * 5000, "data/" + "a" * 5000 + ".parquet", "a\0b"])
def test_names_that_no_file_can_have(copy, name):
    release = copy("parquet")
    enter(release, name)
    assert (name, "is missing") in {(problem.file, problem.what) for problem in verify(release)}


def test_names_that_would_steer_a_terminal(copy):
    release = copy("parquet")
    enter(release, "\x1b]0;owned\x07\x1b[2J\u202efine")
    found = whats(release)
    assert "\\x1b]0;owned\\x07\\x1b[2J\\u202efine: is missing" in found
    assert found.replace("\n", "").isprintable()


def drop_from_decisions(folder: Path, dropped: Callable[[dict[str, Any]], bool]) -> int:
    """Take rows out of decisions.parquet and make the whole manifest agree."""
    path = folder / "decisions.parquet"
    table = pq.read_table(path)
    rows = [row for row in table.to_pylist() if not dropped(row)]
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)
    manifest = read_manifest(folder)
    decisions = manifest.decisions | {"num_rows": len(rows)}
    (folder / "manifest.json").write_bytes(replace(manifest, decisions=decisions).to_bytes())
    reseal(folder)
    return table.num_rows - len(rows)


def test_decisions_that_do_not_add_up(copy):
    release = copy("parquet")
    listed = [row for row in pq.read_table(release / "decisions.parquet").to_pylist() if row["kind"] == "decision"]
    assert len(listed) > 1
    for gone in (listed[:1], [row for row in listed if row["rule"] == listed[0]["rule"]]):
        shutil.rmtree(release)
        copy("parquet")
        assert drop_from_decisions(release, lambda row, gone=gone: row in gone) == len(gone)
        assert f"decisions of rule '{listed[0]['rule']}'" in whats(release)
    for rule, what in ((None, "rows kept"), ("release: not decodable", "rows release: not decodable")):
        shutil.rmtree(release)
        copy("parquet")
        gone_rows = drop_from_decisions(release, lambda row, rule=rule: row["kind"] == "count" and row["rule"] == rule)
        assert gone_rows == 1 and what in whats(release)
    shutil.rmtree(release)
    copy("parquet")
    assert drop_from_decisions(release, lambda row: row["rule"] == listed[0]["rule"])
    assert "rows kept and refused" in whats(release)
