"""The judge's columns: which rows are asked about, what comes of replies, and what a kill costs."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import vlm
from PIL import Image

import tuwen
from tuwen.corpus.corpus import Corpus
from tuwen.engine.recipe import Recipe
from tuwen.errors import TuwenError, UsageError
from tuwen.stages.pair.judge import Judge

COLOURS = ("red", "green", "blue")


def picture(colour: str, size: tuple[int, int] = (64, 48)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


def stage(server: vlm.ChatServer, **parameters: Any) -> Judge:
    settings = {"base_url": server.url, "retries": 0, "backoff_s": 0.0, "concurrency": 1}
    return tuwen.stage("pair.judge", model="m", endpoint=settings, prompt="{text}", **parameters)  # type: ignore[return-value]


def batch(rows: list[tuple[str | None, bytes | None]], **columns: Any) -> pa.RecordBatch:
    texts, images = zip(*rows, strict=True)
    ids = [f"{number:032x}" for number in range(len(rows))]
    data = {
        "pair_id": ids,
        "text": pa.array(texts, pa.string()),
        "text_source": ["alt", "caption"] * (len(rows) // 2) + ["alt"] * (len(rows) % 2),
        "image.bytes": pa.array(images, pa.large_binary()),
    }
    return pa.record_batch({**data, **columns})


def colour_of(image: Image.Image) -> str:
    return COLOURS[max(range(3), key=lambda channel: image.getpixel((5, 5))[channel])]  # type: ignore[index]


def test_scores_replies_and_errors(tmp_path: Path) -> None:
    replies = {"fits": "score: 80", "zh": "评分：六十分", "silly": "lovely!" * 200, "beyond": "score: 300", "none": ""}
    rows = [(text, picture("red")) for text in replies]
    rows += [("fits", None), ("fits", b"broken"), (None, picture("red")), ("  ", picture("red"))]
    with vlm.ChatServer(lambda asked: replies[asked.text]) as server:
        found = stage(server)(batch(rows)).to_pydict()
        assert len(server.asked) == 5
    assert found["judge_score"] == [80, 60, None, None, None, None, None, None, None]
    errors = [None, None, "unparsable", "unparsable", "empty", "no_image", "no_image", "no_text", "no_text"]
    assert found["judge_error"] == errors
    assert found["judge_reply"][:2] == ["score: 80", "评分：六十分"] and len(found["judge_reply"][2]) == 500
    assert found["judge_reply"][3:5] == ["score: 300", None]


def test_only_the_rows_in_question_are_asked_about() -> None:
    rows = [(f"text {number}", picture("red")) for number in range(40)]
    similarity = pa.array([None if number == 1 else number / 40 for number in range(40)], pa.float32())
    with vlm.ChatServer(lambda asked: "50") as server:
        judged = stage(server, sources=["caption"], minimum={"similarity": 0.5}, share=0.6)
        assert judged.reads[-1] == "similarity"
        with pytest.raises(UsageError, match="holds string"):
            judged.asked(batch(rows, similarity=["a"] * 40))
        found = judged(batch(rows, similarity=similarity)).to_pydict()
        asked = {int(each.text.split()[1]) for each in server.asked}
    assert asked == {row for row in range(40) if found["judge_score"][row] is not None}
    assert asked < set(range(21, 40, 2)) and asked
    larger = stage(server, share=0.9).asked(batch(rows)).to_pylist()
    smaller = stage(server, share=0.3).asked(batch(rows)).to_pylist()
    assert all(more for more, less in zip(larger, smaller, strict=True) if less)


def test_equal_pairs_are_one_question_and_images_are_small(tmp_path: Path) -> None:
    rows = [("a", picture("red", (900, 600)))] * 3 + [("a", picture("red", (3000, 20)))]
    with vlm.ChatServer(lambda asked: "50") as server:
        judged = stage(server, side=100)
        for _ in range(2):
            assert judged(batch(rows), cache=tmp_path)["judge_score"].to_pylist() == [50] * 4
        assert [each.image.size for each in server.asked] == [(150, 100), (400, 3)]
        stage(server, side=64)(batch(rows), cache=tmp_path)
        assert len(server.asked) == 4  # another question


def test_a_text_is_put_as_it_is_and_cut() -> None:
    with vlm.ChatServer(lambda asked: "50") as server:
        stage(server, max_characters=9)(batch([("{text} {0} 图文语料", picture("red"))]))
        assert server.asked[0].text == "{text} {0"


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"prompt": "no place"}, "once"),
        ({"scale": [5, 1]}, "worse one first"),
        ({"share": 0}, "share"),
        ({"minimum": {"image.width": 64}}, "columns of pairs"),
        ({"model": ""}, "model"),
        ({"endpoint": {"base_url": "https://a.test", "sede": 1}}, "sede"),
        ({"endpoint": {"base_url": "https://a.test", "api_key": "abc"}}, "api_key"),
    ],
)
def test_parameters(parameters: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        tuwen.stage("pair.judge", **{"model": "m", **parameters})


def test_a_recipe_holds_no_key() -> None:
    stages = [{"pair.judge": {"model": "m", "endpoint": {"base_url": "https://a.test/v1", "api_key": "abc"}}}]
    with pytest.raises(UsageError, match="secrets do not belong in a recipe"):
        Recipe.from_mapping({"stages": stages})


def site(folder: Path, num_images: int = 6) -> Path:
    """A page with images of plain colours, each with two texts."""
    folder.mkdir()
    figures = ""
    for number in range(num_images):
        (folder / f"{number}.png").write_bytes(picture(COLOURS[number % 3], (64 + number, 64)))
        figures += (
            f"<figure><img src='{number}.png' alt='alt {number}'><figcaption>caption {number}</figcaption></figure>"
        )
    (folder / "page.html").write_text(f"<html><body><main><h1>Pictures</h1>{figures}</main></body></html>")
    return folder


def test_a_build_that_fails_goes_on_where_it_ended(tmp_path: Path) -> None:
    site(tmp_path / "site")
    is_broken = [True]

    def rule(asked: vlm.Asked) -> Any:
        return (500, b"oops", {}) if is_broken[0] and asked.text == "caption 4" else f"score: {len(asked.text)}"

    with vlm.ChatServer(rule) as server:
        settings = {"base_url": server.url, "retries": 0, "concurrency": 1}
        parameters = {"model": "m", "endpoint": settings, "prompt": "{text}", "sources": ["alt", "caption"]}
        recipe = Recipe.from_mapping(
            {
                "sources": [{"html": {"folder": str(tmp_path / "site")}}],
                "stages": ["pair.resolve", {"pair.judge": parameters}],
            }
        )
        with pytest.raises(TuwenError, match="HTTP 500"):
            tuwen.build(recipe, tmp_path / "corpus", workers=1)
        before = len(server.asked)
        is_broken[0] = False
        tuwen.build(recipe, tmp_path / "corpus", workers=1)
        assert len(server.asked) == 12 + 1 and before > 1  # the one that failed
        assert tuwen.build(recipe, tmp_path / "corpus", workers=1).stage_rows == {}
        assert len(server.asked) == 13
    rows = Corpus.open(tmp_path / "corpus").table("pairs", ["text", "text_source", "judge_score"]).to_pylist()
    for row in rows:
        is_asked = row["text_source"] in ("alt", "caption")
        assert row["judge_score"] == (len(row["text"]) if is_asked else None)
