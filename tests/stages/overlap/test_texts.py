"""Texts of benchmarks are found in pairs and documents, in every script, whatever stands around them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tuwen.errors import UsageError
from tuwen.stages.overlap.documents import Documents
from tuwen.stages.overlap.grams import gram_hashes
from tuwen.stages.overlap.texts import Texts

PASSAGE = " ".join(f"word{number}" for number in range(40))
CHINESE = "这是一段用来检验评测数据是否混入训练语料的中文文本它没有空格所以按字计算"
THAI = "ประโยคภาษาไทยนี้ใช้ทดสอบว่าข้อมูลประเมินผลปนอยู่ในคลังข้อความหรือไม่"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "b").mkdir()
    (tmp_path / "a.txt").write_text("Yes\nA dog\nHow many people are there in this picture?\n", encoding="utf-8")
    records = [{"question": "yes", "meta": {"passages": [PASSAGE, CHINESE]}}, {"question": THAI, "id": 7}]
    (tmp_path / "b" / "c.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return tmp_path


def run(stage: Texts, texts: list[str | None]) -> list[tuple[str | None, float | None]]:
    found = stage(pa.record_batch({"text": pa.array(texts, pa.string())}), state=stage.prepare(None))
    return list(zip(found[0].to_pylist(), found[1].to_pylist(), strict=True))


def test_short_texts_have_to_be_equal_and_not_too_short(folder: Path) -> None:
    found = run(
        Texts(str(folder)),
        [
            "how many PEOPLE are there — in this picture",
            "So how many people are there in this picture?",
            "yes",
            "A dog",
            "",
        ],
    )
    assert found == [("a.txt", 1), (None, 0), (None, 0), (None, 0), (None, 0)]
    assert run(Texts(str(folder), min_words=2), ["A dog!", "yes", None]) == [("a.txt", 1), (None, 0), (None, None)]


def test_quotes_are_found_wherever_they_stand(folder: Path) -> None:
    quote = " ".join(PASSAGE.split()[10:30])
    texts = [
        f"before it {quote}, and behind",
        quote.upper(),
        f"他说：「{CHINESE[3:33]}」。",
        f"iPhone 15 {CHINESE[3:29]} Pro",
        f"ก่อน {THAI[2:30]} หลัง",
        " ".join(PASSAGE.split()[:12]),
        CHINESE[:25],
        " ".join(reversed(PASSAGE.split())),
    ]
    found = run(Texts(str(folder)), texts)
    assert [name for name, _ in found] == ["b/c.jsonl"] * 5 + [None] * 3
    assert found[0][1] == pytest.approx(8 / 12)  # 24 words are 12 runs, the quote's 20 words are 8 of them
    assert found[1][1] == 1


def test_hashes_agree_with_a_slow_way() -> None:
    texts = [PASSAGE, "a b c", "x " * 30, CHINESE, "混合 mixed 文字 text " * 6, None, ""]
    keys, rows = gram_hashes(pa.array(texts), 4, 3)
    seen: dict[tuple[str, ...], int] = {}
    expected = []
    for row, text in enumerate(texts):
        words: list[str] = []
        for part in (text or "").split():
            words += list(part) if part[0] > "\u3000" else [part]
        weight = [1 if word[0] > "\u3000" else 2 for word in words]
        runs = []
        for start in range(len(words)):
            ends = [end for end in range(start, len(words) + 1) if sum(weight[start:end]) >= 8]
            runs += [tuple(words[start : ends[0]])] if ends else []
        if not runs and 6 <= sum(weight) < 8:
            runs = [tuple(words)]
        expected += [(row, run) for run in runs]
    assert rows.tolist().count(1) == 1
    found: dict[int, tuple[str, ...]] = {}
    assert sorted(rows.tolist()) == [row for row, _ in expected]
    order = np.argsort(rows, kind="stable")
    for key, (_, run) in zip(keys[order].tolist(), expected, strict=True):
        assert seen.setdefault(run, key) == key and found.setdefault(key, run) == run


def test_every_kind_of_file_is_read(tmp_path: Path) -> None:
    items = [f"number {n} is an item of the benchmark" for n in range(6)]
    (tmp_path / "a.csv").write_text(f'head\n"{items[0]}",2\n')
    (tmp_path / "b.tsv").write_text(f"head\tmore\n1\t{items[1]}\n")
    (tmp_path / "c.json").write_text(json.dumps([{"x": [[items[2]]]}, None, 3]))
    (tmp_path / "d.ndjson").write_text(json.dumps(items[3]) + "\n\n")
    pq.write_table(pa.table({"x": [{"y": [items[4]]}], "n": [1]}), tmp_path / "e.parquet")
    (tmp_path / "f.txt").write_text("\ufeff" + items[5] + "\n", encoding="utf-8")
    assert [name for name, _ in run(Texts(str(tmp_path)), items)] == [
        "a.csv", "b.tsv", "c.json", "d.ndjson", "e.parquet", "f.txt",
    ]  # fmt: skip


def test_runs_go_on_over_the_ends_of_lines(tmp_path: Path) -> None:
    words = PASSAGE.split()
    (tmp_path / "a.txt").write_text("\n".join(" ".join(words[start : start + 7]) for start in range(0, 40, 7)))
    assert run(Texts(str(tmp_path)), [PASSAGE]) == [("a.txt", 1)]


@pytest.mark.parametrize(
    ("name", "content"), [("a.jsonl", b"{broken"), ("a.txt", b"\xff\xfe\xff"), ("a.parquet", b"PAR1"), ("a.json", b"")]
)
def test_a_broken_file_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=rf"cannot read .*{name}"):
        Texts(str(tmp_path)).prepare(None)


def test_lengths_are_checked(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="min_words"):
        Texts(str(tmp_path), num_words=3)


def test_documents_are_found_by_their_nodes(folder: Path) -> None:
    stage = Documents(str(folder))
    kind = pa.list_(pa.struct([("kind", pa.string()), ("text", pa.string())]))
    nodes = [
        [{"text": "An own heading of this page"}, {"text": None}, {"text": f"It says: {PASSAGE}"}],
        [{"text": "How many people are there in this picture?"}],
        [{"text": PASSAGE[: len(PASSAGE) // 4]}, {"text": PASSAGE[len(PASSAGE) // 4 :][:60]}],
        None,
        [],
    ]
    batch = pa.record_batch({"nodes": pa.array(nodes, kind)})
    found = stage(batch, state=stage.prepare(None))
    assert found[0].to_pylist() == ["b/c.jsonl", "a.txt", None, None, None]
    assert found[1].to_pylist() == [pytest.approx(28 / 31), 1, 0, None, 0]
    assert found[2].to_pylist() == [7, 7, 7, None, 7]
