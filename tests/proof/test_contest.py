"""Releases compared: on shards of drawn scenes, and the answer over scales by hand."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import data_sets
import numpy as np
import pair_shards
import pytest
from pydantic import TypeAdapter, ValidationError

from tuwen.cli import main
from tuwen.errors import UsageError
from tuwen.evaluations.measured import Items
from tuwen.proof.claim import ArmName
from tuwen.proof.contest import UNTRAINED, Answer, Contest, Pair, answer_of, compare
from tuwen.proof.contest_report import contest_report, told_of
from tuwen.proof.method import Method
from tuwen.proof.run import Result, Task, codebook_images
from tuwen.proof.worlds.release.pairs import pairs_of
from tuwen.proof.worlds.releases import Releases, words_of

METHOD = {
    "architecture": {"image": {"width": 32}, "text": {"width": 32}, "dim": 32, "context": 24},
    "objectives": ["contrast"],
    "learning_rate": 0.003,
}


def shards(folder: Path, number: int, seed: int, shift: int = 0) -> str:
    """A release of drawn scenes; `shift`: each image has the text of so many rows further on."""
    folder.mkdir()
    found = pair_shards.scenes(number, seed)
    entries = []
    for row in range(number):
        text = found["text"][(row + shift) % number]
        entries += [(f"{row:06}.png", pair_shards.png(found["image"][row])), (f"{row:06}.txt", text.encode())]
    (folder / "00000.tar").write_bytes(data_sets.tar(entries))
    return str(folder)


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("releases")
    shards(folder / "right", 400, 1)
    shards(folder / "wrong", 400, 1, shift=7)
    shards(folder / "test", 120, 2)
    return folder


def contest(releases: Path, **changes: object) -> Contest:
    told = {"scales": (1, 2), "seeds": (1, 2, 3), "samples": 1_600, "batch_size": 64, "method": METHOD, **changes}
    return Contest([str(releases / "right"), str(releases / "wrong")], str(releases / "test"), **told)  # type: ignore[arg-type]


def answered(scales: dict[float, dict[str, list[float]]], untrained: float = 0.0) -> Answer:
    """The answer where each scale gives each release's mean reciprocal rank by seed."""
    results = []
    for figures in scales.values():
        found = {**figures, UNTRAINED: [untrained] * len(next(iter(figures.values())))}
        results.append(
            [
                Result(name, seed, {"all": items(value)}, {"all": value}, [], 0.0, 1, "")
                for name, all_seeds in found.items()
                for seed, value in enumerate(all_seeds)
            ]
        )
    return answer_of({"all": "retrieval"}, results, list(scales), list(next(iter(scales.values()))))


def items(value: float) -> Items:
    """Items all alike, whose mean reciprocal rank this is."""
    ranks = np.full(20, 1 / max(value, 1e-9))
    return Items({"image_to_text": ranks, "text_to_image": ranks})


# The answer -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("means", "lows", "highs", "answer"),
    [
        ((0.1, 0.2), (0.05, 0.1), (0.2, 0.3), "one better"),
        ((-0.1, -0.2), (-0.3, -0.3), (0.1, -0.1), "two better"),
        ((0.1, 0.1), (-0.1, -0.1), (0.3, 0.3), "no difference found"),
        ((0.1, 0.1), (0.05, -0.1), (0.3, 0.3), "no difference found"),  # what shows at a small scale alone
        ((0.2, -0.2), (0.1, -0.3), (0.3, -0.1), "scale-unstable"),
        ((-0.01, 0.2), (-0.1, 0.1), (0.1, 0.3), "one better"),  # the other order is within chance
        ((0.2, -0.06), (0.1, -0.08), (0.3, 0.05), "no difference found"),
        ((-0.06, 0.2), (-0.1, 0.1), (-0.02, 0.3), "scale-unstable"),
        ((-0.01, 0.01), (-0.1, -0.1), (0.1, 0.1), "no difference found"),
    ],
)
def test_a_pair_of_releases_in_words(
    means: tuple[float, ...], lows: tuple[float, ...], highs: tuple[float, ...], answer: str
) -> None:
    assert Pair("one", "two", "all", means, lows, highs).answer == answer


def test_ranks_and_signs_over_scales() -> None:
    small = {"a": [0.1, 0.12], "b": [0.2, 0.221], "c": [0.3, 0.33]}
    large = {"a": [0.4, 0.41], "b": [0.3, 0.311], "c": [0.5, 0.54]}
    found = answered({1.0: small, 4.0: large})
    assert found.sign_agreement == {"all": pytest.approx(2 / 3)}
    assert found.rank_correlation == {"all": pytest.approx(0.5)}
    assert found.order("all") == ["c", "a", "b"]
    assert "a and b: scale-unstable" in found.sentence("all")


def test_releases_that_teach_nothing_are_not_compared() -> None:
    found = answered({1.0: {"a": [0.1, 0.2], "b": [0.15, 0.1]}}, untrained=0.12)
    assert found.sentence("all").startswith("inconclusive")
    assert found.rank_correlation == {"all": None}


# On shards ------------------------------------------------------------------------------------------------------


def test_right_texts_train_the_better_model(releases: Path, tmp_path: Path) -> None:
    answer = compare(contest(releases), tmp_path, workers=1)
    assert answer.sentence("all") == "right and wrong: right better"
    assert answer.sign_agreement["all"] == 1
    assert compare(contest(releases), tmp_path, workers=1) == answer


def test_a_test_that_overlaps_is_refused_or_left_out(releases: Path) -> None:
    paths = {"right": str(releases / "right")}
    world = Releases(paths, str(releases / "right"), use="right")
    assert world.num_shown("right") == 400
    told = Contest([str(releases / "right"), str(releases / "wrong")], str(releases / "right"))
    with pytest.raises(UsageError, match=r"400 images of right, 400 images of wrong.*--drop-overlap"):
        told.claims()
    dropped = Releases(paths, str(releases / "right"), use="right", drop_overlap=True)
    assert dropped.train(10, 1).num_rows == 0


def test_without_a_release_all_train_in_turn(releases: Path) -> None:
    """Right and wrong show the same images: they are numbered alike, and their texts differ."""
    paths = {name: str(releases / name) for name in ("right", "wrong")}
    found = Releases(paths, str(releases / "test")).train(7, 1)
    right, wrong = (Releases(paths, str(releases / "test"), use=name).train(4, 1) for name in paths)
    assert found["text"][::2] == right["text"] and found["text"][1::2] == wrong["text"][:3]
    assert np.array_equal(found["image"][::2], right["image"]) and np.array_equal(found["image"][1], right["image"][0])
    assert found["same"][0] == found["same"][1] != found["same"][2]


def test_arms_of_a_seed_have_one_codebook(releases: Path, tmp_path: Path) -> None:
    method = {**METHOD, "architecture": {**METHOD["architecture"], "codes": {"number": 4, "num_images": 9}}}  # type: ignore[dict-item]
    claim = contest(releases, method=method).claims()[0]
    found = [
        codebook_images(Task(claim, arm, seed, str(tmp_path)), Method.from_mapping(claim.arms[arm].method))
        for seed, arm in [(1, "right"), (1, "wrong"), (2, "right")]
    ]
    assert found[0].shape == (9, 32, 32, 3)
    assert np.array_equal(found[0], found[1]) and not np.array_equal(found[0], found[2])


def test_what_cannot_be_compared_says_why(releases: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="two releases"):
        Contest([str(releases / "right")], str(releases / "test"))
    with pytest.raises(UsageError, match="have to differ"):
        _ = Contest([str(releases / "right"), str(releases / "right")], str(releases / "test")).paths
    with pytest.raises(UsageError, match=r"right 400, wrong 400; each release needs 512"):
        contest(releases, batch_size=512).claims()
    with pytest.raises(UsageError, match=r"scales are \[1, 1\]; give each once"):
        contest(releases, scales=(1, 1))
    with pytest.raises(UsageError, match="--examples is 10; give 64, a batch, at least"):
        contest(releases, examples=10)
    with pytest.raises(UsageError, match="no folder"):
        Contest([str(tmp_path / "no"), str(releases / "wrong")], str(releases / "test")).claims()
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"no \.tar and no \.parquet"):
        Contest([str(tmp_path / "empty"), str(releases / "wrong")], str(releases / "test")).claims()


def test_broken_images_are_left_out_and_counted(tmp_path: Path) -> None:
    pair_shards.write_shards(tmp_path / "broken", 20, broken=(3, 4))
    found = pairs_of(str(tmp_path / "broken"), 32)
    assert len(found) == 18 and found.images.shape == (18, 32, 32, 3)
    assert found.skipped == {"images that do not decode": 1, "pairs without an image or a text": 2}


def test_what_could_not_be_read_is_told_of_each_release(releases: Path, tmp_path: Path) -> None:
    shutil.copytree(releases / "wrong", tmp_path / "cut")
    shard = tmp_path / "cut" / "00000.tar"
    shard.write_bytes(shard.read_bytes()[: shard.stat().st_size // 2])
    told = Contest([str(releases / "right"), str(tmp_path / "cut")], str(releases / "test"))
    found = told.skipped()
    assert found == {str(tmp_path / "cut"): {"samples that could not be read": 1, "damaged shards (truncated)": 1}}
    line = f"{tmp_path / 'cut'}: left out, samples that could not be read: 1, damaged shards (truncated): 1"
    assert told.notes()[-1] == line
    figures = {"all": {name: [[0.1, 0.2]] for name in ("right", "cut", UNTRAINED)}}
    pair = Pair("right", "cut", "all", (0.0,), (-0.1,), (0.1,))
    answer = Answer((1.0,), ("right", "cut"), figures, [pair], {"all": False}, {"all": 1.0}, {"all": None})
    assert told_of(told, answer)["skipped"] == found
    assert line in contest_report(told, answer).decode()


def test_nothing_that_can_be_decoded_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "junk").mkdir()
    entries = [(f"{row}{end}", b"no image") for row in range(5) for end in (".jpg", ".txt")]
    (tmp_path / "junk" / "0.tar").write_bytes(data_sets.tar(entries))
    with pytest.raises(UsageError, match=r"junk holds 5 samples, none of them can be decoded \(samples that could not"):
        pairs_of(str(tmp_path / "junk"), 32)
    (tmp_path / "cut").mkdir()
    pair_shards.write_table(tmp_path / "cut" / "0.parquet", 20)
    data = (tmp_path / "cut" / "0.parquet").read_bytes()
    (tmp_path / "cut" / "0.parquet").write_bytes(data[: len(data) // 2])
    with pytest.raises(UsageError, match=r"could be read: damaged shards \(unreadable\): 1$"):
        pairs_of(str(tmp_path / "cut"), 32)


def test_the_tail_is_the_half_with_the_rarer_words() -> None:
    assert words_of("Ein Bär, 3 Bären: 红色的球") == ["ein", "bär", "bären", "红色", "色的", "的球"]


def test_the_command_line(releases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["prove", "--releases", str(releases / "right"), str(releases / "wrong"), "--to", str(tmp_path)]
    assert main(words) == 2
    assert "--test names the release" in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert main([*words[:-1], str(tmp_path / "file" / "in"), "--test", str(releases / "test")]) == 2
    assert f"{tmp_path / 'file'} is a file; name a folder" in capsys.readouterr().err
    assert main(["prove"]) == 2
    assert "give claims or releases" in capsys.readouterr().err
    words += ["--test", str(releases / "test"), "--cache", str(tmp_path / "cache"), "--json"]
    assert main([*words, "--scales", "1", "--samples", "128", "--seeds", "1,2", "--workers", "1"]) in (0, 1)
    told = json.loads(capsys.readouterr().out)
    page = (Path(__file__).parents[2] / "docs" / "json.md").read_text(encoding="utf-8")
    section = page.split("## tuwen prove --releases\n")[1].split("\n## ")[0]
    assert all(f"`{name}`" in section for name in (*told, *told["pairs"][0], *told["evaluations"]["all"]))
    assert set(told["releases"]) == {"right", "wrong"} and told["evaluations"]["all"]["rank_correlation"] is None
    page = (tmp_path / "releases" / "index.html").read_text()
    assert "Which release trains the better model?" in page and "<script" not in page


def test_drawing_is_not_asked_where_a_test_has_no_other_text(releases: Path, tmp_path: Path) -> None:
    drawn = {"method": {**METHOD, "architecture": {**METHOD["architecture"], "codes": {"number": 8}}}}
    assert "drawing" in contest(releases, **drawn).claims()[0].evaluations
    alone = shards(tmp_path / "alone", 1, 3)
    told = Contest([str(releases / "right"), str(releases / "wrong")], alone, batch_size=64, **drawn)
    assert list(told.claims()[0].evaluations) == ["all"]


def test_a_scale_without_a_sample_is_told(releases: Path) -> None:
    with pytest.raises(UsageError, match="1600 samples at the scale 1e-05 are none"):
        contest(releases, scales=(1, 1e-5))


def test_releases_are_called_as_their_folders_in_any_script() -> None:
    paths = Contest(["强 图文", "弱", "Strong (2)"], "test").paths
    assert paths == {"强-图文": "强 图文", "弱": "弱", "strong-2": "Strong (2)"}
    arms = TypeAdapter(dict[ArmName, int])
    assert arms.validate_python(dict.fromkeys(paths, 1)) == dict.fromkeys(paths, 1)
    for wrong in ("", "-a", "a/b", "..", "a b"):
        with pytest.raises(ValidationError):
            arms.validate_python({wrong: 1})
