"""`tuwen train scorer`: the pairs of a selection become a scorer, cross-fitted by image.

Killed on the way it leaves no folder of the name that was asked for: everything is made beside it and renamed.
"""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from tuwen.corpus.corpus import Corpus, write_json
from tuwen.engine.local import Workers
from tuwen.engine.progress import Phase, Progress
from tuwen.engine.scorer_pairs import ScorerPairs, near_images, read_pairs
from tuwen.errors import UsageError
from tuwen.models.contrastive import BATCH
from tuwen.models.scorer import DESCRIPTION, DIM, FORMAT, MOST_FOLDS, SEEN, SEEN_SCHEMA, SIDE, Shape, fold_of
from tuwen.models.scorer_training import LEAST_PAIRS, Judged, Lesson, Point, default_steps, train_fold, verdict

if TYPE_CHECKING:
    from tuwen.models.discrimination import Interval

MAX_PAIRS = 20_000
_POLL_S = 0.3


@dataclass(frozen=True)
class _Fold:
    """The task of a worker: everything else lies in files."""

    lesson: Path
    number: int
    seed: int
    shape: Shape
    steps: int
    batch_size: int
    to: Path | None


def train_scorer(
    path: str | Path,
    selection: str,
    to: str | Path,
    *,
    folds: int = 4,
    seed: int = 0,
    max_pairs: int = MAX_PAIRS,
    steps: int | None = None,
    batch_size: int = BATCH,
    shape: Shape = Shape(),  # noqa: B008  (frozen)
    workers: int = 1,
    allow_code: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train a scorer on the pairs of a selection into the new folder `to`; returns what its scorer.json holds.

    `verdict.learned` is false where training showed nothing that would be worth a score; the folder then says so, and
    the stages refuse it. The same corpus, seed and versions give the same bytes, with one worker or more. Memory: the
    weights and about 0.3 GB for each worker; images lie in a file beside `to`, 12 KB each, while it lasts.
    """
    to = Path(to)
    if to.exists():
        raise UsageError(f"{to} is there already; name a new folder")
    if not 2 <= folds <= MOST_FOLDS:
        raise UsageError(f"--folds is {folds}; it must be 2 to {MOST_FOLDS}")
    corpus = Corpus.open(path).pinned()
    with _beside(to) as partial:
        work = partial / "work"
        work.mkdir()
        pairs = read_pairs(
            corpus, selection, work / "pixels.npy", max_pairs=max_pairs, seed=seed, allow_code=allow_code
        )
        fold = np.array([fold_of(key, folds, seed) for key in pairs.keys], dtype=np.int64)[pairs.image]
        if steps is None:
            steps = default_steps(len(pairs.pair_ids) * (folds - 1) // folds, batch_size)
        trained: list[tuple[Judged, list[Point]]] = []
        if len(pairs.pair_ids) >= LEAST_PAIRS and len(np.unique(fold)) == folds:
            _write_lesson(work, pairs, fold)
            tasks = [
                _Fold(work, number, seed, shape, steps, batch_size, partial / f"fold-{number}")
                for number in range(folds)
            ]
            trained = _trained(tasks, workers, progress or Progress(quiet=True))
        described = {
            "format": FORMAT,
            "selection": selection,
            "folds": folds,
            "fold_key": "image_cluster" if "image_cluster" in corpus.current_columns("images") else "image_id",
            "seed": seed,
            "max_pairs": max_pairs,
            "steps": steps,
            "batch_size": batch_size,
            **_network(shape),
            **_counts(pairs, fold, folds),
            **_judged(len(pairs.pair_ids), trained, seed),
        }
        _write_images(partial / SEEN, near_images(corpus, pairs), folds, seed)
        shutil.rmtree(work)
        write_json(partial / DESCRIPTION, described)
        partial.rename(to)
    return described


@contextmanager
def _beside(to: Path) -> Iterator[Path]:
    """An empty folder beside `to`; what a killed run left there is removed."""
    partial = to.with_name(f".{to.name}.unfinished")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
    except OSError as error:
        raise UsageError(f"--to {to} cannot be made: {error.strerror}; name a folder where you may write") from error
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write_lesson(work: Path, pairs: ScorerPairs, fold: np.ndarray[Any, Any]) -> None:
    _, owners = np.unique(np.array(pairs.keys), return_inverse=True)
    np.savez(work / "pairs.npz", image=pairs.image, owner=owners[pairs.image], text=pairs.text, fold=fold)
    (work / "texts.json").write_text(json.dumps({"texts": pairs.texts, "hosts": pairs.hosts}), encoding="utf-8")


def _read_lesson(work: Path) -> Lesson:
    pixels = np.load(work / "pixels.npy", mmap_mode="r")
    with np.load(work / "pairs.npz") as stored:
        numbers = {name: stored[name] for name in ("image", "owner", "text", "fold")}
    return Lesson(pixels=pixels, **numbers, **json.loads((work / "texts.json").read_text(encoding="utf-8")))


def _train(task: _Fold) -> tuple[Judged, list[Point]]:
    with (task.lesson / f"steps-{task.number}").open("a", encoding="utf-8", buffering=1) as steps:

        def note(step: int, point: Point | None) -> None:
            steps.write(f"{step} {point.auc if point else ''}\n")

        return train_fold(
            _read_lesson(task.lesson),
            task.number,
            seed=task.seed,
            shape=task.shape,
            steps=task.steps,
            batch_size=task.batch_size,
            folder=task.to,
            on_step=note,
        )


def _trained(tasks: list[_Fold], workers: int, progress: Progress) -> list[tuple[Judged, list[Point]]]:
    total = sum(task.steps for task in tasks)
    with (
        progress.phase("training", total, "steps") as phase,
        _watched(tasks, phase),
        Workers(min(workers, len(tasks))) as pool,
    ):
        return list(pool.ordered(_train, tasks))


@contextmanager
def _watched(tasks: list[_Fold], phase: Phase) -> Iterator[None]:
    """Show the steps that workers have written, until the work is done."""
    done = threading.Event()

    def look() -> None:
        while not done.wait(_POLL_S):
            _show(tasks, phase)

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
        _show(tasks, phase)


def _show(tasks: list[_Fold], phase: Phase) -> None:
    count, notes = 0, []
    for task in tasks:
        path = task.lesson / f"steps-{task.number}"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        count += len(lines)
        points = [words[1] for words in map(str.split, lines) if len(words) == 2]
        notes.append(points[-1] if points else "–")
    phase.advance(count - phase.done, f"AUC {', '.join(notes)}")


def _counts(pairs: ScorerPairs, fold: np.ndarray[Any, Any], folds: int) -> dict[str, Any]:
    return {
        "num_pairs": len(pairs.pair_ids),
        "num_images": len(pairs.image_ids),
        "num_texts": len(pairs.texts),
        "num_undecodable_images": pairs.num_undecodable,
        "fold_pairs": np.bincount(fold, minlength=folds).tolist(),
    }


def _network(shape: Shape) -> dict[str, Any]:
    return {"dim": DIM, "side": SIDE, "shape": asdict(shape)}


def _judged(num_pairs: int, trained: list[tuple[Judged, list[Point]]], seed: int) -> dict[str, Any]:
    none, numbers = np.zeros(0), np.zeros(0, np.int64)
    nothing = Judged(numbers, numbers, none, none, numbers, none.astype(bool))
    together = Judged.together([judged for judged, _ in trained]) if trained else nothing
    learned, reason = verdict(num_pairs, together, seed)
    return {
        "chosen_steps": [max(curve, key=lambda point: point.auc).step for _, curve in trained],
        "curves": [[asdict(point) for point in curve] for _, curve in trained],
        "auc": _interval(together.interval(seed)),
        "auc_new_texts": _interval(together.interval_of_new(seed)),
        "auc_folds": [_interval(judged.interval(seed)) for judged, _ in trained],
        "verdict": {"learned": learned, "reason": reason},
    }


def _interval(found: Interval) -> dict[str, Any] | None:
    """Null where there was nothing to judge."""
    if not found.num_pairs:
        return None
    numbers = {name: round(getattr(found, name), 4) for name in ("auc", "low", "high")}
    return {**numbers, "num_pairs": found.num_pairs}


def _write_images(path: Path, images: dict[str, str], folds: int, seed: int) -> None:
    ids = sorted(images)
    columns = {"image_id": ids, "fold": [fold_of(images[image_id], folds, seed) for image_id in ids]}
    table = pa.table(columns, schema=SEEN_SCHEMA)
    with pa.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table)
