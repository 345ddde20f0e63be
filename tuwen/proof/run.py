"""Running a claim: every arm with every seed in processes side by side, each result kept by its fingerprint."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tuwen.engine.local import Workers
from tuwen.errors import TuwenError, UsageError
from tuwen.evaluations.measured import measure
from tuwen.models.columns import Columns
from tuwen.models.contrastive import deterministic
from tuwen.proof.claim import Arm, Claim
from tuwen.proof.kept import drawn, fingerprint
from tuwen.proof.kinds import within
from tuwen.proof.method import Method, part_of
from tuwen.proof.results import Result, code_digest, digest_of, outside_digest, read_result, write_result
from tuwen.proof.streamed import Streamed, shared_images
from tuwen.proof.verdict import Difference, Verdict, detectable_effect, difference, judge

Precision = Literal["float32", "bf16"]


@dataclass(frozen=True)
class Task:
    """One arm with one seed. `decoders`: processes that decode images ahead of it, where they stay in files."""

    claim: Claim
    arm: str
    seed: int
    cache: str
    allow_code: bool = False
    device: str = "cpu"
    precision: Precision = "float32"
    decoders: int = 1

    @property
    def key(self) -> str:
        """Digest of all that the result depends on: the arm, its world, budget, seed, tests, code, versions, device."""
        claim, arm = self.claim, self.claim.arms[self.arm]
        told = {
            "arm": arm.model_dump(mode="json", exclude={"matched"}),
            "world": claim.world,
            "budget": claim.budget.model_dump(),
            "evaluations": [claim.evaluations, claim.group],
            "words": [
                fingerprint(part_of("evaluations", each, self.allow_code)) for each in claim.evaluations.values()
            ],
            "data": [fingerprint(self.world(each)) for each in (arm, None)],
            "seed": self.seed,
            "device": [self.device, self.precision],
            "code": [code_digest(), outside_digest([arm.model_dump(mode="json"), claim.world, claim.evaluations])],
        }
        # Unsorted: the order of a mapping may decide what is drawn.
        return hashlib.sha256(json.dumps(told, default=str).encode()).hexdigest()[:32]

    @property
    def samples(self) -> int:
        """That the arm sees."""
        return self.claim.samples_of(self.claim.arms[self.arm])

    def world(self, arm: Arm | None) -> Any:
        """The claim's world as an arm has it; where it reads files, with a folder for their indexes."""
        world = self.claim.world_of(arm, allow_code=self.allow_code)
        return world.at(Path(self.cache) / "indexes", self.decoders) if hasattr(world, "at") else world


@dataclass(frozen=True)
class Compared:
    """A comparison of a claim with what came out. `ablated`: the arm against its ablation, where there is one."""

    arm: str
    against: str
    evaluation: str
    difference: Difference
    verdict: Verdict
    detectable: float | None
    ablated: Difference | None = None
    better: str = "higher"


@dataclass(frozen=True)
class Proof:
    """All of a claim's results, where they were trained, its comparisons, and the verdict over all of them."""

    claim: Claim
    results: list[Result]
    comparisons: list[Compared]
    verdict: Verdict
    gate: float | None
    device: str = "cpu"
    precision: Precision = "float32"


def prove(
    claim: Claim,
    cache: str | Path,
    *,
    workers: int | None = None,
    allow_code: bool = False,
    device: str = "cpu",
    precision: Precision = "float32",
    on_result: Callable[[Result, int, int], None] = lambda result, done, of: None,
) -> Proof:
    """Run what the cache does not hold yet, and judge. `device`: torch's, or `auto`; `precision`: as training takes it.
    `workers`: runs side by side; one where nothing is said and they share a GPU, else one per core."""
    device = resolved(device)
    results = results_of(
        claim,
        cache,
        workers=workers,
        allow_code=allow_code,
        device=device,
        precision=precision,
        on_result=on_result,
    )
    return replace(judged(claim, results, allow_code=allow_code), device=device, precision=precision)


def results_of(
    claim: Claim,
    cache: str | Path,
    *,
    workers: int | None = None,
    allow_code: bool = False,
    device: str = "cpu",
    precision: Precision = "float32",
    on_result: Callable[[Result, int, int], None] = lambda result, done, of: None,
) -> list[Result]:
    """What every arm reached with every seed, from the cache where it is there."""
    claim.check(allow_code=allow_code)
    device, cores = resolved(device), os.cpu_count() or 1
    side_by_side = workers or (cores if device == "cpu" else 1)
    for arm in claim.arms.values():
        world = Task(claim, "", 0, str(cache), allow_code, decoders=cores).world(arm)
        if getattr(world, "is_streamed", False):
            fingerprint(world)  # all cores make the index, before runs want it
    runs = [(arm, seed) for seed in claim.seeds for arm in claim.arms]
    decoders = max(1, cores // min(side_by_side, len(runs)))
    tasks = [Task(claim, arm, seed, str(cache), allow_code, device, precision, decoders) for arm, seed in runs]
    results = []
    with Workers(side_by_side) as pool:
        for _ in pool.ordered(rehearse, tasks[: len(claim.arms)]):
            pass
        for result in pool.ordered(run, tasks):
            results.append(result)
            on_result(result, len(results), len(tasks))
    return results


def resolved(device: str) -> str:
    """torch's name of a device; `UsageError` where it cannot be used."""
    if device == "cpu":
        return device
    from tuwen.proof.training import chosen_device

    return chosen_device(device)


def run(task: Task) -> Result:
    """The result of a task, from the cache where it is there; errors of a request say the arm and seed."""
    with within(f"the arm {task.arm}, seed {task.seed}"):
        return _run(task)


def rehearse(task: Task) -> None:
    """The first step of each phase, and the evaluations, of which nothing is kept: what no check of its parts can see
    is told before any arm trains."""
    from tuwen.proof.trainer import train as trained

    if read_result(Path(task.cache) / task.key, list(task.claim.evaluations)) is not None:
        return
    with within(f"the arm {task.arm}, seed {task.seed}"):
        train, test, method = prepared(task)
        model: Any = trained(
            method,
            train,
            samples=task.samples,
            batch_size=task.claim.budget.batch_size,
            seed=task.seed,
            device=task.device,
            precision=task.precision,
            codebook_images=codebook_images(task, method),
            first_steps=1,
        )
        with deterministic(task.seed):
            for adaptation in method.adaptations:
                model = adaptation(model)
            for name, told in task.claim.evaluations.items():
                with suppress(ArithmeticError):  # it may divide by what a network that has learnt nothing has none of
                    measure(name, part_of("evaluations", told, task.allow_code), model, train, test)


def _run(task: Task) -> Result:
    folder = Path(task.cache) / task.key
    if (known := read_result(folder, list(task.claim.evaluations))) is not None:
        return replace(known, arm=task.arm, seed=task.seed)
    claim = task.claim
    train, test, method = prepared(task)
    curve: list[dict[str, float]] = []
    started = time.process_time()
    from tuwen.proof.trainer import train as trained

    def note(step: int, steps: int, losses: dict[str, float]) -> None:
        if step == steps or step % max(1, steps // 25) == 0:
            curve.append({"step": step, **losses})

    checkpoint = folder.with_suffix(".pt") if isinstance(train, Streamed) else None  # these may run for hours
    model: Any = trained(
        method,
        train,
        samples=task.samples,
        batch_size=claim.budget.batch_size,
        seed=task.seed,
        device=task.device,
        precision=task.precision,
        checkpoint=checkpoint,
        on_step=note,
        codebook_images=codebook_images(task, method),
    )
    items, figures = {}, {}
    with deterministic(task.seed):  # what parts draw does not depend on what ran in this process before
        for adaptation in method.adaptations:
            model = adaptation(model)
        cpu_s = time.process_time() - started
        for name, told in claim.evaluations.items():
            evaluation = part_of("evaluations", told, task.allow_code)
            items[name], figures[name] = measure(name, evaluation, model, train, test)
            if claim.group and not len(items[name].group):
                items[name] = items[name].grouped_by(test[claim.group])
            if not np.isfinite(figures[name]):
                raise TuwenError(
                    f"the evaluation {name} of the arm {task.arm}, seed {task.seed}, gives {figures[name]}"
                )
    result = Result(task.arm, task.seed, items, figures, curve, cpu_s, task.samples, digest_of(test))
    write_result(folder, result)
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    return result


def prepared(task: Task) -> tuple[Columns, Columns, Method]:
    """Training and test examples, and the method; `UsageError` where they do not fit together."""
    train, test = examples(task)
    check_overlap(train, test)
    if task.claim.group:
        _ = test[task.claim.group]  # says now, not after hours, that there is none
    method = Method.from_mapping(task.claim.arms[task.arm].method, allow_code=task.allow_code)
    check_side(train, method.architecture.side)
    return train, test, method


def examples(task: Task) -> tuple[Columns, Columns]:
    """Training examples as the arm has them, test examples as the claim has them: one draw for all arms of a seed."""
    budget, arm = task.claim.budget, task.claim.arms[task.arm]
    train = drawn(task.world(arm), "train", task.claim.examples_of(arm), task.seed, task.cache)
    for curation in arm.curations:
        train = part_of("proof.curations", curation, task.allow_code)(train, task.seed)
    return train, drawn(task.world(None), "test", budget.test, task.seed, task.cache)


def codebook_images(task: Task, method: Method) -> Any:
    """Training images (N, side, side, 3) of the claim's world, the same for all arms of a seed: with one codebook, bits
    per code can be compared. None, where the method has no codes."""
    if method.architecture.codes is None:
        return None
    number = min(task.claim.budget.examples, method.architecture.codes.num_images)
    columns = drawn(task.world(None), "train", number, task.seed, task.cache)
    return columns.take(np.arange(columns.num_rows))["image"]


def check_side(columns: Columns, side: int) -> None:
    """`UsageError` where the world's images are not as large as the architecture takes them."""
    shape: tuple[int, ...] = getattr(columns["image"], "shape", ()) if "image" in columns else ()
    if len(shape) == 4 and shape[1] != side:
        raise UsageError(
            f"images of the world have {shape[1]} pixels a side, the architecture has side: {side}; make them equal"
        )


def check_overlap(train: Columns, test: Columns) -> None:
    """`UsageError` where a test image is among the training images, to the byte."""
    if "image" not in train or "image" not in test:
        return
    if isinstance(train, Streamed) and isinstance(test, Streamed):
        found = shared_images(train, test)  # by the files' bytes: nothing is decoded
    else:
        known = {hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in train["image"]}
        found = sum(hashlib.blake2b(image.tobytes(), digest_size=16).digest() in known for image in test["image"])
    if found:
        raise UsageError(
            f"{found} of {len(test['image'])} test images are among the training images; what was trained on them "
            "proves nothing. Split by image, or take another test"
        )


def judged(claim: Claim, results: list[Result], *, allow_code: bool = False) -> Proof:
    """The verdict of results."""
    by_arm = {arm: [result for result in results if result.arm == arm] for arm in claim.arms}
    shared = len({result.test_digest for result in results}) == 1
    number = claim.num_intervals
    compared = []
    for each in claim.comparisons:
        evaluation = part_of("evaluations", claim.evaluations[each.evaluation], allow_code)
        sign = 1 if each.better == "higher" else -1

        def measured(arm: str, other: str, name: str = each.evaluation, part: Any = evaluation, by: int = sign) -> Any:
            return difference(
                [result.items[name] for result in by_arm[arm]],
                [result.items[name] for result in by_arm[other]],
                lambda items, rows: by * part.statistic(items, rows),
                shared=shared,
                comparisons=number,
            )

        found = measured(each.arm, each.against)
        ablated = measured(each.arm, each.ablation) if each.ablation else None
        verdict = judge(found, each.smallest_effect)
        if verdict.word == "supported" and ablated is not None and ablated.low <= 0:
            verdict = Verdict(
                "inconclusive",
                f"{verdict.reason}, but not shown to come from the part: against {each.ablation} {ablated.mean:+.3f}, "
                f"{ablated.low:+.3f} to {ablated.high:+.3f}",
            )
        detectable = detectable_effect(each.sd, len(claim.seeds), number) if each.sd else None
        compared.append(
            Compared(each.arm, each.against, each.evaluation, found, verdict, detectable, ablated, each.better)
        )
    gate = None
    if claim.gate is not None:
        gate = float(np.mean([result.figures[claim.gate.evaluation] for result in by_arm[claim.gate.arm]]))
    return Proof(claim, results, compared, _overall(claim, compared, gate), gate)


def _overall(claim: Claim, compared: list[Compared], gate: float | None) -> Verdict:
    """Supported where all comparisons are; else the worst of them."""
    if claim.gate is not None and gate is not None and not gate > claim.gate.above:
        return Verdict(
            "inconclusive",
            f"{claim.gate.arm} reached {gate:.3f} in {claim.gate.evaluation}, not above the {claim.gate.above:g} below "
            "which nothing was learnt that could be compared",
        )
    for word in ("refuted", "no effect", "inconclusive"):
        of = [each for each in compared if each.verdict.word == word]
        if of:
            reasons = "; ".join(f"{each.arm} against {each.against}: {each.verdict.reason}" for each in of)
            return Verdict(word, reasons)
    return Verdict(
        "supported", "; ".join(f"{each.arm} against {each.against}: {each.verdict.reason}" for each in compared)
    )
