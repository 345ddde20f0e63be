"""`tuwen train RECIPE`: a model of a user's own examples, resumable, with a report.

TO/config.json …       the model (tuwen.models.saved), open_clip/ where its layout permits
TO/training.json       what was trained on what, and how it did; written last
TO/losses.jsonl        losses by step
TO/broken.jsonl        examples that training met and whose images do not decode
TO/checkpoint.pt, recipe.json, work/    of a run that is not finished; the same command goes on with it
TO/.lock               while it trains
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tuwen.corpus.corpus import LOCK, write_json
from tuwen.engine.progress import Progress
from tuwen.errors import TuwenError, UsageError
from tuwen.evaluations.measured import measure
from tuwen.models.checkpoint import first_line, folder_of, model_files
from tuwen.models.columns import Columns
from tuwen.models.contrastive import deterministic
from tuwen.models.saved import CONFIG, OPEN_CLIP_CONFIG, load_network, save_network
from tuwen.proof.method import Method, part_of
from tuwen.proof.parallel import Parallel, joined
from tuwen.proof.recipe import TrainingRecipe
from tuwen.proof.results import versions
from tuwen.proof.sealed import write_whole, writing
from tuwen.proof.streamed import Streamed, shared_images

if TYPE_CHECKING:
    from tuwen.models.network import Network
    from tuwen.proof.trained import Trained

FORMAT = 1
RESULT, BEGUN, CHECKPOINT, LOSSES, BROKEN, WORK = (
    *("training.json", "recipe.json", "checkpoint.pt", "losses.jsonl", "broken.jsonl", "work"),
)


def train_recipe(
    recipe: TrainingRecipe, *, allow_code: bool = False, progress: Progress | None = None
) -> dict[str, Any]:
    """Train, evaluate and save; returns what `training.json` holds, which the recipe and its examples alone decide.

    A run that was cut off goes on from its checkpoint, to the same bytes; one that is finished is only told. Under
    `torchrun` all processes call this; the first one writes, and the others return nothing. `UsageError` where the
    folder holds another run, or images of the evaluation are among those of training.
    """
    to = Path(recipe.to)
    if (to / RESULT).exists():
        found = _finished(to, recipe)
        return {} if int(os.environ.get("RANK", "0")) else found
    _made(to)
    device = chosen_device(recipe.device)
    with _locked(to), joined(device) as parallel:
        if parallel.rank:
            progress = None
        return _Training(recipe, to, device, parallel, allow_code, progress or Progress(quiet=True)).run()


def chosen_device(told: str) -> str:
    """torch's name of the device; `auto` is this process' GPU, or the CPU where there is none."""
    import torch

    number = os.environ.get("LOCAL_RANK")
    if told == "auto":
        told = "cuda" if torch.cuda.is_available() else "cpu"
    if told == "cuda" and number is not None:
        told = f"cuda:{number}"
    if told.startswith("cuda"):
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # or its sums differ from run to run
    try:
        torch.empty(1, device=told)
    except Exception as error:
        raise UsageError(f"device {told!r} cannot be used ({str(error).splitlines()[0]}); try cpu") from error
    return told


class _Training:
    def __init__(
        self,
        recipe: TrainingRecipe,
        to: Path,
        device: str,
        parallel: Parallel,
        allow_code: bool,
        progress: Progress,
    ) -> None:
        self.recipe, self.to, self.device, self.parallel = recipe, to, device, parallel
        self.allow_code, self.progress = allow_code, progress
        self.workers = recipe.workers or max(1, (os.cpu_count() or 1) // parallel.processes)

    def run(self) -> dict[str, Any]:
        network, method = self._start()
        train = test = None
        if self.recipe.examples is not None:
            train = self._examples(self.recipe.examples, "train", network, method)
        if self.recipe.evaluation is not None:
            test = self._examples(self.recipe.evaluation.examples, "test", network, method)
            _check_overlap(train, test)
        self._begin(train, test)
        if test is not None and not self.parallel.rank:
            test = _sound(test)  # before hours of training
        model = self._untrained(network) if train is None else self._train(network, method, train)
        if self.parallel.rank:
            return {}
        import torch

        with deterministic(self.recipe.seed):
            for adaptation in method.adaptations:
                model = adaptation(model)
            with torch.random.fork_rng([]):  # saved first, as an evaluation may fail, which draws as if it had not been
                layouts = _saved(model.network, self.to) if self.recipe.budget.samples else []
            figures = {} if test is None else self._evaluated(model, train or Columns(), test)
        result = {
            "format": FORMAT,
            "recipe": self.recipe.described(),
            "examples": None if train is None else {**_told(train), "num_broken": len(_lines(self.to / BROKEN))},
            "losses": (_lines(self.to / LOSSES) or [{"step": 0}])[-1],
            "figures": figures,
            "layouts": layouts,
            "versions": versions(),
        }
        with writing(self.to / RESULT):
            write_json(self.to / RESULT, result)
        for name in (CHECKPOINT, BEGUN):
            (self.to / name).unlink(missing_ok=True)
        shutil.rmtree(self.to / WORK, ignore_errors=True)
        return result

    def _start(self) -> tuple[Network | None, Method]:
        method = self.recipe.made(allow_code=self.allow_code)
        if self.recipe.start.checkpoint is None:
            return None, method
        network = load_network(folder_of(model_files(self.recipe.start.checkpoint, (CONFIG, OPEN_CLIP_CONFIG))))
        return network, replace(method, architecture=network.architecture)

    def _examples(self, told: Any, name: str, network: Network | None, method: Method) -> Streamed:
        """The first process makes the index, the others find it."""
        part = self.recipe.part(told, allow_code=self.allow_code)
        crop = network is not None and network.preprocessing.crop
        for rank in range(min(2, self.parallel.processes)):
            if rank == min(1, self.parallel.rank):
                found: Streamed = part.load(
                    self.to / WORK / name, method.architecture.side, crop=crop, workers=self.workers
                )
            self.parallel.wait()
        return found

    def _begin(self, train: Streamed | None, test: Streamed | None) -> None:
        """What a checkpoint belongs to."""
        digests = [each.index.digest for each in (train, test) if each is not None]
        told = {"recipe": self.recipe.described(), "examples": digests}
        path = self.to / BEGUN
        begun = _told_in(path, "examples")
        if begun is not None and (self.to / CHECKPOINT).exists():
            if begun != told:
                what = _difference(begun["recipe"], told["recipe"]) or "the examples are others"
                raise UsageError(f"{self.to} holds a run that is not finished, and {what}; name another folder")
        elif self.parallel.rank == 0:
            for left in [self.to / CHECKPOINT, self.to / LOSSES, *self.to.glob("broken*.jsonl")]:
                left.unlink(missing_ok=True)
            with writing(path):
                write_json(path, told)
        self.parallel.wait()

    def _untrained(self, network: Network | None) -> Trained:
        from tuwen.proof.trained import Trained

        assert network is not None, "a recipe without samples has a checkpoint"
        return Trained(network.to(self.device))

    def _train(self, network: Network | None, method: Method, train: Streamed) -> Trained:
        from tuwen.proof.trainer import train as trained

        if network is not None and not self.recipe.budget.samples:
            return self._untrained(network)
        steps = max(1, self.recipe.budget.samples // min(self.recipe.budget.batch_size, train.num_rows))
        note = _Notes(self.to, train, self.parallel)
        with self.progress.phase("training", steps, "steps") as phase:

            def on_step(step: int, steps: int, losses: dict[str, float]) -> None:
                note(step, losses)
                told = ", ".join(f"{name} {value:.3f}" for name, value in losses.items())
                phase.advance(step - phase.done, told)

            model = trained(
                method,
                train,
                samples=self.recipe.budget.samples,
                batch_size=self.recipe.budget.batch_size,
                seed=self.recipe.seed,
                device=self.device,
                checkpoint=self.to / CHECKPOINT,
                every=self.recipe.checkpoint,
                on_step=on_step,
                network=network,
                precision=self.recipe.precision,
                parallel=self.parallel,
            )
        note.finish()
        return model

    def _evaluated(self, model: Trained, train: Columns, test: Streamed) -> dict[str, float | None]:
        """By evaluation; nothing where it gives NaN or infinity, which JSON has no word for."""
        evaluation = self.recipe.evaluation
        assert evaluation is not None
        parts = {name: part_of("evaluations", told, self.allow_code) for name, told in evaluation.parts.items()}
        if not parts:
            parts = self.recipe.part(evaluation.examples, allow_code=self.allow_code).evaluations()
        figures: dict[str, float | None] = {}
        with self.progress.phase("evaluation", len(parts), "parts") as phase:
            for name, part in parts.items():
                value = measure(name, part, model, train, test)[1]
                figures[name] = round(value, 6) if math.isfinite(value) else None
                phase.advance(note=f"{name} {value:.3f}")
        return figures


class _Notes:
    """Losses and broken images, on disk as they come: a run that goes on finds those of the steps before."""

    def __init__(self, to: Path, train: Streamed, parallel: Parallel) -> None:
        self._to, self._train, self._parallel = to, train, parallel
        self._broken = to / (f"broken-{parallel.rank}.jsonl" if parallel.rank else BROKEN)
        self._known = {line["row"] for line in _lines(self._broken)}
        self._is_new = True

    def __call__(self, step: int, losses: dict[str, float]) -> None:
        if self._is_new and not self._parallel.rank:  # steps after the checkpoint are done again
            _write_lines(self._to / LOSSES, [line for line in _lines(self._to / LOSSES) if line["step"] < step])
        if self._is_new:
            _write_lines(self._broken, _lines(self._broken))  # without half a line at its end
        self._is_new = False
        if not self._parallel.rank:
            _append(self._to / LOSSES, [{"step": step, **losses}])
        if new := sorted(self._train.images.broken.keys() - self._known):
            errors = [self._train.images.broken[row] for row in new]
            told = zip(new, self._train.index.values("name", np.array(new)), errors, strict=True)
            _append(self._broken, [{"row": row, "name": name, "error": error} for row, name, error in told])
            self._known |= set(new)

    def finish(self) -> None:
        """Those of all processes in one file, by row."""
        self._parallel.wait()
        if not self._parallel.rank:
            found = {line["row"]: line for path in self._to.glob("broken*.jsonl") for line in _lines(path)}
            _write_lines(self._to / BROKEN, [found[row] for row in sorted(found)])
            for path in self._to.glob("broken-*.jsonl"):
                path.unlink()


def _lines(path: Path) -> list[dict[str, Any]]:
    """Whole lines of a file; a killed run may have left half of one."""
    if not path.exists():
        return []
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            break
    return found


def _append(path: Path, lines: list[dict[str, Any]]) -> None:
    with writing(path), path.open("a", encoding="utf-8") as stream:
        stream.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def _write_lines(path: Path, lines: list[dict[str, Any]]) -> None:
    write_whole(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))


def _saved(network: Network, to: Path) -> list[str]:
    from safetensors import SafetensorError

    try:
        return save_network(network, to)
    except Exception as error:  # each library that writes here has an error of its own for a full disk
        if not isinstance(error, OSError | RuntimeError | SafetensorError) and type(error) is not Exception:
            raise
        raise TuwenError(
            f"the model cannot be written to {to} ({first_line(error)}); the disk may be full: free some space, and "
            "the same command goes on from the last checkpoint"
        ) from error


def _made(to: Path) -> None:
    """The folder, empty or of a run that is not finished: what others keep there would be lost."""
    try:
        to.mkdir(parents=True, exist_ok=True)
        left = {path.name for path in to.iterdir() if not path.name.startswith(".")}
        if left == {WORK}:  # a run that was cut off while it read its examples
            left = {path.name for path in (to / WORK).iterdir()} - {"train", "test"}
    except OSError as error:
        raise UsageError(f"to: {to} cannot be made: {error.strerror}; name a folder where you may write") from error
    if left and not int(os.environ.get("RANK", "0")) and _told_in(to / BEGUN, "examples") is None:
        raise UsageError(
            f"to: {to} holds files that are of no training ({min(left)}); name an empty folder, or a new one"
        )


def _told_in(path: Path, key: str) -> dict[str, Any] | None:
    """What a file of a run says, nothing where there is none; `UsageError` where it is no such file."""
    if not path.exists():
        return None
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read ({error}); name another folder") from error
    if not isinstance(told, dict) or not isinstance(told.get("recipe"), dict) or key not in told:
        raise UsageError(f"{path} is not what a training writes; name another folder")
    return told


@contextmanager
def _locked(to: Path) -> Iterator[None]:
    """The folder for this training alone; of several processes that train together the first one holds it."""
    if int(os.environ.get("RANK", "0")):
        yield
        return
    with writing(to):
        stream = (to / LOCK).open("w")
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise TuwenError(f"another tuwen trains in {to}; wait until it has finished, or name another") from None
        try:
            yield
        finally:
            (to / LOCK).unlink(missing_ok=True)


def _finished(to: Path, recipe: TrainingRecipe) -> dict[str, Any]:
    result = _told_in(to / RESULT, "figures")
    assert result is not None, "it is there"
    if what := _difference(result["recipe"], recipe.described()):
        raise UsageError(f"{to} holds the model of another recipe ({what}); name another folder")
    return result


def _difference(one: Any, other: Any, place: str = "") -> str | None:
    """Where two recipes differ first."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted({*one, *other}):
            if found := _difference(one.get(key), other.get(key), f"{place}.{key}".lstrip(".")):
                return found
        return None
    return None if one == other else f"{place} was {one!r} and is {other!r}"


def _told(examples: Streamed) -> dict[str, Any]:
    index = examples.index
    return {"num_examples": examples.num_rows, "digest": index.digest, "skipped": index.skipped}


def _sound(test: Streamed) -> Streamed:
    """The examples that decode; `UsageError` where there is none."""
    found = test.sound()
    if not found.num_rows:
        why = ", ".join(sorted(set(test.images.broken.values())))
        raise UsageError(f"none of the {test.num_rows} images of the evaluation decodes: {why}")
    return found


def _check_overlap(train: Streamed | None, test: Streamed) -> None:
    if train is not None and (number := shared_images(train, test)):
        raise UsageError(
            f"{number} images of the evaluation are among those of training; what a model was trained on proves "
            "nothing. Take other examples to evaluate on"
        )
