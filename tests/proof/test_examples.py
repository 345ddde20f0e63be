"""Examples: the same ones from every layout, whatever the workers; broken images cost themselves."""

from __future__ import annotations

import io
import json
from itertools import islice
from pathlib import Path
from typing import Any

import data_sets
import numpy as np
import pair_shards
import pytest
from PIL import Image

import tuwen
from tuwen.engine.recipe import Recipe
from tuwen.errors import UsageError
from tuwen.proof.examples.clip_benchmark import ClipBenchmark
from tuwen.proof.examples.corpus import Corpus
from tuwen.proof.examples.parquet import Parquet
from tuwen.proof.examples.webdataset import Webdataset
from tuwen.proof.streamed import Streamed, shared_images
from tuwen.samplers.shuffled import Shuffled

NUMBER = 40


def everything(columns: Streamed) -> dict[str, Any]:
    return columns.take(np.arange(columns.num_rows))


def test_images_and_texts_are_those_of_the_shards(tmp_path: Path) -> None:
    scenes = pair_shards.write_shards(tmp_path / "shards", NUMBER, shards=3)
    part = Webdataset((str(tmp_path / "shards"),), columns={"number": "json.number"})
    columns = part.load(tmp_path / "full", 32)
    assert columns.num_rows == NUMBER and columns.index.skipped == {}
    rows = np.array([39, 0, 17])
    batch = columns.take(rows)
    np.testing.assert_array_equal(batch["image"], scenes["image"][rows])
    assert batch["text"] == [scenes["text"][row] for row in rows]
    assert batch["texts"] == [[text] for text in batch["text"]]
    assert batch["number"] == ["39", "0", "17"]
    small = part.load(tmp_path / "small", 8)["image"][1:3]
    by_hand = [Image.fromarray(scenes["image"][row]).reduce(4).resize((8, 8), 3) for row in (1, 2)]
    np.testing.assert_array_equal(small, np.stack([np.asarray(each) for each in by_hand]))
    with pytest.raises(UsageError, match="'label' is empty in all examples"):
        Webdataset((str(tmp_path / "shards"),), columns={"label": "class"}).load(tmp_path / "none", 32)


@pytest.mark.parametrize(("workers", "cache"), [(1, 0), (2, 0), (2, 1 << 30)])
def test_broken_images_give_their_place_to_the_next(
    workers: int, cache: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same batches as from memory, with any number of workers, when images are read for the second time, and where
    there is room for three of them."""
    monkeypatch.setattr("tuwen.proof.streamed.WAITING_BYTES", 3 * 32 * 32 * 3)
    monkeypatch.setattr("tuwen.proof.streamed.LEAST_IMAGES", 2)  # a batch is shared out to both workers
    scenes = pair_shards.write_shards(tmp_path / "shards", NUMBER, broken=(3, 4, NUMBER - 1))
    loaded = Webdataset((str(tmp_path / "shards"),)).load(tmp_path / "work", 32)
    columns = Streamed(loaded.index, 32, workers=workers, cache_bytes=cache)
    stands_for = np.arange(NUMBER)
    stands_for[[3, 4, NUMBER - 1]] = [5, 5, 0]
    orders = [list(islice(Shuffled()(scenes, 8, seed), 12)) for seed in (0, 1)]
    for order in orders:
        for rows, batch in zip(order, columns.batches(iter(order)), strict=True):
            np.testing.assert_array_equal(batch["image"], scenes["image"][stands_for[rows]])
            assert batch["text"] == [scenes["text"][row] for row in stands_for[rows]]
    assert set(columns.images.broken) == {3, 4, NUMBER - 1}
    sound = columns.sound()
    assert sound.num_rows == NUMBER - 3
    np.testing.assert_array_equal(sound["image"][2:5], scenes["image"][[2, 5, 6]])
    assert list(sound["text"]) == [text for row, text in enumerate(scenes["text"]) if row not in columns.images.broken]


def test_an_index_is_made_once_and_anew_when_files_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pair_shards.write_shards(tmp_path / "shards", 10)
    part = Webdataset((str(tmp_path / "shards"),))
    first = part.load(tmp_path / "work", 32)
    with monkeypatch.context() as patched:
        patched.setattr("tuwen.proof.examples.webdataset.read_shard", None)
        assert part.load(tmp_path / "work", 32).index.digest == first.index.digest
    pair_shards.write_shards(tmp_path / "shards", 12, seed=2)
    again = part.load(tmp_path / "work", 32)
    assert again.num_rows == 12 and again.index.digest != first.index.digest


def test_shards_of_strangers_lose_what_is_broken_and_nothing_else(tmp_path: Path) -> None:
    """Twenty formats and damages; one shard is cut off."""
    data_sets.write_webdataset(tmp_path)
    columns = Webdataset((str(tmp_path),)).load(tmp_path / "work", 32)
    assert {
        "damages of shards (truncated)",
        "images that are none by their first bytes",
    } <= columns.index.skipped.keys()
    assert everything(columns)["image"].shape == (columns.num_rows, 32, 32, 3)
    assert 0 < len(columns.images.broken) < columns.num_rows / 4


def test_files_without_examples_are_refused(tmp_path: Path) -> None:
    entries = [("0.png", pair_shards.BROKEN), ("0.txt", b" "), ("1.txt", b"a text")]
    (tmp_path / "0.tar").write_bytes(data_sets.tar(entries))
    with pytest.raises(UsageError, match="1 samples without a text, 1 samples without an image"):
        Webdataset((str(tmp_path),)).load(tmp_path / "work", 32)
    entries = [("0.png", pair_shards.BROKEN), ("0.txt", b"a text")]
    (tmp_path / "0.tar").write_bytes(data_sets.tar(entries))
    with pytest.raises(UsageError, match="none of the 1 images decodes: broken"):
        Webdataset((str(tmp_path),)).load(tmp_path / "work", 32).take([0])


def test_parquet_gives_what_shards_give(tmp_path: Path) -> None:
    pair_shards.write_shards(tmp_path / "shards", NUMBER, broken=(7,))
    pair_shards.write_table(tmp_path / "0.parquet", NUMBER, broken=(7,))
    columns = {"number": "number"}
    one = Webdataset((str(tmp_path / "shards"),), columns=columns).load(tmp_path / "one", 32)
    two = Parquet((str(tmp_path / "0.parquet"),), columns=columns).load(tmp_path / "two", 32)
    assert one.index.digest == two.index.digest
    np.testing.assert_array_equal(everything(one)["image"], everything(two)["image"])
    assert shared_images(one, two) == len({bytes(each) for each in one.index.scan("digest")})
    with pytest.raises(UsageError, match="no column of texts; say text: one of image, text, number"):
        Parquet((str(tmp_path / "0.parquet"),), text="words").load(tmp_path / "three", 32)


def test_a_selection_and_its_releases_are_the_same_examples(tmp_path: Path) -> None:
    """Images with several texts, the best first."""
    pair_shards.write_table(tmp_path / "a.parquet", 12)
    rows = data_sets.pq.read_table(tmp_path / "a.parquet")
    more = rows.set_column(1, "text", data_sets.pa.array([f"{text} once more" for text in rows["text"].to_pylist()]))
    data_sets.pq.write_table(data_sets.pa.concat_tables([rows, more]), tmp_path / "a.parquet")
    recipe = {
        "sources": [{"parquet": {"paths": [str(tmp_path / "a.parquet")]}}],
        "stages": ["pair.resolve"],
        "selections": {"all": {"unit": "pair", "steps": [{"rule": "image_id is not null"}]}},
    }
    tuwen.build(Recipe.from_mapping(recipe), tmp_path / "corpus", workers=1, quiet=True)
    for form in ("webdataset", "parquet"):
        tuwen.release(tuwen.Corpus.open(tmp_path / "corpus"), "all", tmp_path / form, form)
    loaded = [
        Corpus(str(tmp_path / "corpus"), "all", columns={"source": "text_source"}).load(tmp_path / "1", 32),
        Webdataset((str(tmp_path / "webdataset"),)).load(tmp_path / "2", 32),
        Parquet((str(tmp_path / "parquet"),)).load(tmp_path / "3", 32),
    ]
    found = [everything(each) for each in loaded]
    assert loaded[0].num_rows == 12 and all(len(texts) == 2 for texts in found[0]["texts"])
    assert found[0]["source"] == ["given"] * 12
    for other in found[1:]:
        np.testing.assert_array_equal(other["image"], found[0]["image"])
        assert other["texts"] == found[0]["texts"] and other["text"] == found[0]["text"]


class _Names:
    """A model that sees the class in the first pixel, and knows the classes by their names."""

    def images(self, images: Any) -> Any:
        return np.eye(3, dtype=np.float32)[np.asarray(images)[:, 0, 0, 0] // 100]

    def texts(self, texts: Any) -> Any:
        places = {"cat": 0, "dog": 1, "fox": 2}
        return np.eye(3, dtype=np.float32)[[places[text.split()[-1].strip(".")] for text in texts]]


def test_clip_benchmarks_layout_says_how_it_is_tested(tmp_path: Path) -> None:
    def picture(label: int) -> bytes:
        return pair_shards.png(np.full((8, 8, 3), 100 * label, np.uint8))

    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "nshards.txt").write_text("2\n")
    (tmp_path / "classnames.txt").write_text("cat\ndog\nfox\n")
    (tmp_path / "zeroshot_classification_templates.txt").write_text("a photo of a {c}.\n{c}\n")
    for shard, shown in enumerate([[0, 1, 2], [1, 1]]):
        entries = []
        for number, label in enumerate(shown):
            told = 0 if label == 2 else label
            entries += [(f"s{shard}_{number}.png", picture(label)), (f"s{shard}_{number}.cls", str(told).encode())]
        (tmp_path / "test" / f"{shard}.tar").write_bytes(data_sets.tar(entries))
    part = ClipBenchmark(str(tmp_path))
    columns = part.load(tmp_path / "work", 8)
    assert list(columns["label"]) == ["cat", "dog", "cat", "dog", "dog"]
    ((name, evaluation),) = part.evaluations().items()
    assert name == "zero_shot" and evaluation.prompts == ("a photo of a {}.", "{}")
    items = evaluation.items(_Names(), columns, columns.sound())
    assert evaluation.statistic(items, np.arange(5)) == pytest.approx(4 / 5)  # a fox is labelled cat
    (tmp_path / "classnames.txt").unlink()
    with pytest.raises(UsageError, match="CLIP_benchmark's layout has it"):
        part.load(tmp_path / "work", 8)


def test_clip_benchmarks_captions_are_retrieved(tmp_path: Path) -> None:
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "nshards.txt").write_text("1")
    (tmp_path / "dataset_type.txt").write_text("retrieval")
    entries = []
    for number, name in enumerate(["cat", "dog", "fox"]):
        pixels = np.full((8, 8, 3), 100 * number, np.uint8)
        entries += [(f"{number}.png", pair_shards.png(pixels)), (f"{number}.txt", f"a {name}\nthe {name}".encode())]
    (tmp_path / "test" / "0.tar").write_bytes(data_sets.tar(entries))
    part = ClipBenchmark(str(tmp_path))
    columns = part.load(tmp_path / "work", 8)
    assert columns["texts"][1] == ["a dog", "the dog"]
    found = {name: each.items(_Names(), columns, columns) for name, each in part.evaluations().items()}
    assert list(found) == ["image_to_text", "text_to_image"]
    assert found["image_to_text"]["image_to_text"].tolist() == [1, 1, 1]


def test_a_jpeg_is_decoded_upright_and_its_middle_cut_out(tmp_path: Path) -> None:
    """A stored 16 x 48 image that is to be turned; the crop keeps its middle third."""
    pixels = np.zeros((48, 16, 3), np.uint8)
    pixels[16:32] = 255
    sink, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(sink, "JPEG", quality=95, exif=exif)
    told = json.dumps({"texts": [{"text": "white"}, {"text": "no"}]}).encode()
    (tmp_path / "0.tar").write_bytes(data_sets.tar([("0.jpg", sink.getvalue()), ("0.json", told)]))
    part = Webdataset((str(tmp_path),))
    cropped, whole = (part.load(tmp_path / str(crop), 16, crop=crop).take([0])["image"][0] for crop in (True, False))
    assert cropped[2:14, 2:14].min() > 240
    assert whole[8, 8].min() > 240 and whole[8, 1].max() < 15 and whole[1, 8].min() > 240
