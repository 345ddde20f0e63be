"""Claims over pools in files: nothing is decoded that no batch needs, and results belong to the files."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import data_sets
import numpy as np
import pair_shards
import pytest
import torch

from tuwen.cli import main
from tuwen.errors import UsageError
from tuwen.proof import streamed, trainer
from tuwen.proof.claim import Claim
from tuwen.proof.curations.filtered import Filtered
from tuwen.proof.method import Method
from tuwen.proof.run import Task, check_overlap, prove, run
from tuwen.proof.streamed import Streamed
from tuwen.proof.worlds.shards import Shards

NUMBER = 48
SHIPPED = Path(__file__).parents[3] / "claims" / "datacomp-small.yaml"


def write_test_set(folder: Path, number: int, seed: int) -> None:
    """Scenes by the names of their shapes, as CLIP_benchmark lays them out; one image does not decode."""
    scenes = pair_shards.scenes(number, seed)
    classes = sorted(set(scenes["shape"]))
    entries = []
    for row in range(number):
        data = pair_shards.BROKEN if row == 1 else pair_shards.png(scenes["image"][row])
        told = str(classes.index(scenes["shape"][row])).encode()
        entries += [(f"s{row:04}.png", data), (f"s{row:04}.cls", told)]
    (folder / "test").mkdir(parents=True)
    (folder / "test" / "0.tar").write_bytes(data_sets.tar(entries))
    (folder / "test" / "nshards.txt").write_text("1")
    (folder / "classnames.txt").write_text("\n".join(classes))
    (folder / "zeroshot_classification_templates.txt").write_text("a {c}\nthe {c}.\n")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pool of 48 and a test of 12."""
    folder = tmp_path_factory.mktemp("files")
    pair_shards.write_shards(folder / "pool", NUMBER, broken=(5,))
    write_test_set(folder / "test", 12, seed=2)
    return folder


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Sizes of the files that were decoded, in this process."""
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    found: list[int] = []
    decode = streamed.decode

    def counted(data: bytes, side: int) -> Any:
        found.append(len(data))
        return decode(data, side)

    monkeypatch.setattr(streamed, "decode", counted)
    yield found


def small(files: Path, **changes: Any) -> Claim:
    """The shipped claim's shape, on little files and a little network."""
    told = [
        f"world.shards.pool.webdataset.paths=[{files / 'pool'}]",
        "world.shards.pool.webdataset.columns={clip: number}",
        f"world.shards.test_set.clip_benchmark.folder={files / 'test'}",
        f"evaluations.imagenet.clip_benchmark.folder={files / 'test'}",
        "world.shards.side=32",
        "budget={examples: 40, samples: 64, batch_size: 8, test: 12}",
        "seeds=[1, 2]",
        "base.architecture={image: {width: 16}, text: {width: 16}, dim: 16, context: 24, vocabulary: 300}",
        "arms={no-filter: {}, clip-score: {curations: [{filtered: {column: clip, share: 0.5}}]}}",
        "comparisons=[{arm: clip-score, against: no-filter, evaluation: imagenet, smallest_effect: 0.1}]",
        *(f"{path}={json.dumps(value)}" for path, value in changes.items()),
    ]
    return Claim.load(SHIPPED, told)


def test_a_claim_of_the_shipped_shape_runs_and_is_kept(
    files: Path, tmp_path: Path, decoded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = small(files)
    proof = prove(claim, tmp_path, workers=1)
    assert [(each.arm, each.seed) for each in proof.results] == [
        (arm, seed) for seed in (1, 2) for arm in ("no-filter", "clip-score")
    ]
    assert all(len(each.items["imagenet"]["correct"]) == 11 for each in proof.results)  # the broken one is left out
    assert len({each.test_digest for each in proof.results}) == 1
    assert not (tmp_path / "worlds").exists() and not list(tmp_path.rglob("checkpoint*"))
    monkeypatch.setattr("tuwen.proof.trainer.train", None)
    again = prove(claim, tmp_path, workers=1)
    assert [each.figures for each in again.results] == [each.figures for each in proof.results]


def test_a_run_that_was_cut_off_goes_on(
    files: Path, tmp_path: Path, decoded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    train, seen, last = trainer.train, list[int](), [5]

    def cut(*given: Any, on_step: Any, **told: Any) -> Any:
        def note(step: int, steps: int, losses: dict[str, float]) -> None:
            seen.append(step)
            on_step(step, steps, losses)
            if step in last:
                raise KeyboardInterrupt

        return train(*given, every=2, on_step=note, **told)

    monkeypatch.setattr(trainer, "train", cut)
    task = Task(small(files), "no-filter", 1, str(tmp_path / "one"))
    with pytest.raises(KeyboardInterrupt):
        run(task)
    last.clear()
    resumed, whole = run(task), run(dataclasses.replace(task, cache=str(tmp_path / "two")))
    assert seen == [1, 2, 3, 4, 5, *range(5, 9), *range(1, 9)]
    assert resumed.curve == whole.curve[4:] and resumed.figures == whole.figures
    assert not list(tmp_path.rglob("checkpoint*"))


def test_a_subset_of_what_is_streamed_decodes_nothing(files: Path, tmp_path: Path, decoded: list[int]) -> None:
    world = Shards(
        {"webdataset": {"paths": [str(files / "pool")], "columns": {"clip": "number"}}},
        {"clip_benchmark": {"folder": str(files / "test")}},
        side=32,
    ).at(tmp_path, 1)
    drawn = world.train(30, seed=3)
    rows = np.sort(np.random.default_rng([3, NUMBER]).permutation(NUMBER)[:30])
    best = Filtered("clip", share=0.2)(drawn, 0)
    assert isinstance(best, Streamed) and best.num_rows == 6
    assert list(best["clip"]) == [str(row) for row in rows[-6:]]
    assert list(best.subset([4, 0]).with_columns(more=[1, 2])["clip"]) == [str(rows[-2]), str(rows[-6])]
    assert not decoded
    scenes = pair_shards.scenes(NUMBER)
    np.testing.assert_array_equal(best.take([0, 5])["image"], scenes["image"][rows[[-6, -1]]])
    assert len(decoded) == 2


def test_a_broken_image_is_replaced_from_the_subset(files: Path, tmp_path: Path) -> None:
    """Of the pool the next would be 6, which was filtered out."""
    world = Shards({"webdataset": {"paths": [str(files / "pool")]}}, {"webdataset": {"paths": ["x"]}}, side=32)
    few = world.at(tmp_path, 1).train(NUMBER, 0).subset([2, 5, 9])
    scenes = pair_shards.scenes(NUMBER)
    (batch,) = few.batches(iter([np.array([0, 1, 2])]))
    np.testing.assert_array_equal(batch["image"], scenes["image"][[2, 9, 9]])
    assert batch["text"] == [scenes["text"][row] for row in (2, 9, 9)]
    assert few.sound().num_rows == 2 and few.sound().rows.tolist() == [2, 9]


def test_overlap_is_refused_without_decoding(files: Path, tmp_path: Path, decoded: list[int]) -> None:
    pool = {"webdataset": {"paths": [str(files / "pool")]}}
    columns = Shards(pool, pool, side=32).at(tmp_path, 1).train(NUMBER, 0)
    half = columns.subset(range(24))
    known = set(columns.image_digests())
    with pytest.raises(UsageError, match=r"\d+ of 48 test images are among the training images"):
        check_overlap(half, columns)
    alone = [row for row, found in enumerate(columns.image_digests()) if found not in set(half.image_digests())]
    assert alone and len(known) > 30
    check_overlap(half, columns.subset(alone))
    assert not decoded


def test_a_broken_path_says_what_to_do(files: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'/data/datacomp/small' does not exist.*--set 'world.shards.pool.webdataset"):
        prove(Claim.load(SHIPPED), tmp_path, workers=1)
    claim = small(files, **{"world.shards.test_set.clip_benchmark.folder": str(tmp_path / "no")})
    with pytest.raises(UsageError, match=r"cannot be read.*--set 'world.shards.test_set.clip_benchmark.folder=DIR'"):
        prove(claim, tmp_path, workers=1)
    with pytest.raises(UsageError, match="unknown name 'webdatset' in examples; "):
        small(files, **{"world.shards.pool": {"webdatset": {"paths": ["x"]}}}).check()


def test_results_belong_to_files_words_device_and_precision(files: Path, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    pair_shards.write_shards(folder / "pool", 8)
    write_test_set(folder / "test", 4, seed=2)
    task = Task(small(folder), "no-filter", 1, str(tmp_path / "cache"))
    keys = {task.key, *(dataclasses.replace(task, **each).key for each in ({"device": "cuda"}, {"precision": "bf16"}))}
    (folder / "test" / "zeroshot_classification_templates.txt").write_text("no {c}\n")
    keys.add(task.key)
    pair_shards.write_shards(folder / "pool", 8, seed=5)
    keys.add(task.key)
    assert len(keys) == 5
    assert dataclasses.replace(task, decoders=3).key == task.key


def test_the_shipped_claim_is_datacomps() -> None:
    """Sizes from its paper and code; every part exists and takes its parameters. open_clip's ViT-B-32 has 151,277,313
    weights, of which 768 x 512 and 512 x 512 project and one is the temperature."""
    claim = Claim.load(SHIPPED)
    claim.check()
    assert (claim.budget.examples, claim.budget.samples, claim.budget.batch_size) == (12_800_000, 12_800_000, 4_096)
    for arm in claim.arms.values():
        method = Method.from_mapping(arm.method)
        assert method.architecture.side == claim.world_of().side == 224
        assert method.architecture.image is not None and method.architecture.text is not None
        with torch.device("meta"):
            towers = method.architecture.image.build(224), method.architecture.text.build(49_408, 77, 49_406, 49_407)
        number = sum(weights.numel() for tower in towers for weights in tower.parameters())
        assert number == 151_277_313 - (768 + 512) * 512 - 1
        assert [tower.config.num_attention_heads for tower in towers] == [12, 8]
        assert (method.phases[0].learning_rate, method.phases[0].weight_decay) == (5e-4, 0.2)
    folder = claim.world_of().test_set["clip_benchmark"]["folder"]
    assert claim.evaluations["imagenet"] == {"clip_benchmark": {"folder": folder}}


def test_changes_are_checked() -> None:
    with pytest.raises(UsageError, match="--set takes path=value"):
        Claim.load(SHIPPED, ["seeds"])
    with pytest.raises(UsageError, match="budget: unknown key 'steps'; did you mean"):
        Claim.load(SHIPPED, ["budget.steps=3"])


def test_the_verb_changes_values_and_records_only_what_was_registered(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prove", str(SHIPPED), "--dry-run", "--json", "--set", "budget.test=100"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert told["budget"] == {"examples": 12_800_000, "samples": 12_800_000, "batch_size": 4_096, "test": 100}
    assert main(["prove", str(SHIPPED), "--record", "--set", "budget.test=100"]) == 2
    assert "leave --seeds and --set out" in capsys.readouterr().err
    assert main(["prove", str(SHIPPED), "--device", "abacus"]) == 2
    assert "device 'abacus' cannot be used" in capsys.readouterr().err
