"""`tuwen train RECIPE`, `tuwen train scorer DIR --selection NAME --to FOLDER`, `tuwen train head DIR --label COLUMN
--to FILE`"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from typing import Any

from tuwen.cli import plural, positive, print_json, shown
from tuwen.errors import TuwenError, UsageError, missing_extra

BARS = "▁▂▃▄▅▆▇█"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of each model that can be trained."""
    models = parser.add_subparsers(dest="model", metavar="MODEL")
    _add_model(models)
    _add_scorer(models)
    _add_head(models)


def spelt_out(words: list[str]) -> list[str]:
    """`train RECIPE` is short for `train model RECIPE`."""
    place = words.index("train") + 1
    is_short = place < len(words) and words[place].endswith((".yaml", ".yml"))
    return [*words[:place], "model", *words[place:]] if is_short else words


def _add_model(models: Any) -> None:
    summary = "train a vision-language model by a recipe, from scratch or further"
    about = f"{summary[0].upper()}{summary[1:]}. A run that was cut off goes on. 'model' may be left out."
    model = models.add_parser("model", help=summary, description=about)
    model.add_argument("recipe", metavar="RECIPE", help="YAML file (see docs/training.md)")
    model.add_argument("--to", metavar="FOLDER", help="where the model goes, instead of the recipe's `to`")
    model.add_argument(
        "--set", metavar="PATH=VALUE", action="append", default=[], help="change a value of the recipe; repeatable"
    )
    model.add_argument("--dry-run", action="store_true", help="check the recipe, and train nothing")
    model.add_argument("--allow-code", action="store_true", help="let the recipe name parts as package.module:Class")
    model.add_argument("--json", action="store_true", help="print as JSON")


def _add_scorer(models: Any) -> None:
    summary = "fit a small dual encoder on the pairs of a selection, to score all pairs"
    scorer = models.add_parser("scorer", help=summary, description=summary[0].upper() + summary[1:] + ".")
    scorer.add_argument("corpus", metavar="DIR", help="corpus folder")
    scorer.add_argument("--selection", metavar="NAME", required=True, help="pairs to learn from: the best there are")
    scorer.add_argument("--to", metavar="FOLDER", required=True, help="new folder for the models")
    scorer.add_argument(
        "--folds", metavar="N", type=positive, default=4, help="models; each scores images it has not seen (default: 4)"
    )
    scorer.add_argument("--seed", metavar="N", type=int, default=0, help="of folds, weights and order (default: 0)")
    scorer.add_argument(
        "--max-pairs",
        metavar="N",
        type=positive,
        default=20_000,
        help="of more pairs a seeded sample; 12 KB on disk an image while it lasts (default: 20000)",
    )
    scorer.add_argument(
        "--steps", metavar="N", type=positive, help="of training (default: 15 passes over the pairs, at most 1000)"
    )
    scorer.add_argument("--workers", metavar="N", type=positive, help="worker processes (default: one per core)")
    scorer.add_argument("--allow-code", action="store_true", help="let the recipe name parts as package.module:Class")
    scorer.add_argument("--json", action="store_true", help="print as JSON")


def _add_head(models: Any) -> None:
    summary = "fit a linear head on the embeddings of images to a column of labels"
    head = models.add_parser("head", help=summary, description=summary[0].upper() + summary[1:] + ".")
    head.add_argument("corpus", metavar="DIR", help="corpus folder")
    head.add_argument(
        "--label", metavar="COLUMN", required=True, help="of images: true or false, or numbers (tuwen join brings it)"
    )
    head.add_argument("--to", metavar="FILE", required=True, help="the head, .npz")
    head.add_argument("--embedding", metavar="COLUMN", default="embedding", help="of images (default: embedding)")
    head.add_argument("--json", action="store_true", help="print as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Train, and say what was learnt; 1 where a scorer learnt nothing."""
    if arguments.model is None:
        raise UsageError("name what to train: RECIPE.yaml, scorer or head; tuwen train --help tells more")
    return {"model": _train_model, "scorer": _train_scorer, "head": _train_head}[arguments.model](arguments)


def _train_model(arguments: argparse.Namespace) -> int:
    if find_spec("torch") is None:
        raise missing_extra("proof", "torch")
    from tuwen.engine.progress import Progress
    from tuwen.proof.recipe import TrainingRecipe
    from tuwen.proof.training import train_recipe

    changes = [*arguments.set, *([f"to={json.dumps(arguments.to)}"] if arguments.to else [])]
    recipe = TrainingRecipe.load(arguments.recipe, changes, allow_code=arguments.allow_code)
    if arguments.dry_run:
        print_json(recipe.model_dump(mode="json"))
        return 0
    found = train_recipe(recipe, allow_code=arguments.allow_code, progress=Progress(quiet=arguments.json))
    if not found:  # one process of several tells
        return 0
    print_json(found) if arguments.json else print_model(found, recipe.to)
    if none := [shown(name) for name, value in found["figures"].items() if value is None]:
        last = found["losses"]["step"]
        of = f"after step {last}, the last one; it is saved" if found["layouts"] else "as it is"
        raise TuwenError(
            f"{', '.join(none)}: NaN or infinity, which is no figure, of the model {of}. Look at the evaluation: it "
            "may have too few examples, or none of a kind"
        )
    return 0


def print_model(found: Mapping[str, Any], to: str) -> None:
    """What it was trained on, its last losses, figures, and where it lies."""
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    if (examples := found["examples"]) is not None:
        left_out = [f"{number:,} {what}" for what, number in examples["skipped"].items()]
        if examples["num_broken"]:
            left_out.append(f"{plural(examples['num_broken'], 'image')} that did not decode (broken.jsonl)")
        console.print("; ".join([plural(examples["num_examples"], "example"), *map(shown, left_out)]))
    losses = {name: value for name, value in found["losses"].items() if name != "step"}
    if losses:
        told = ", ".join(f"{shown(name)} {value:.3f}" for name, value in losses.items())
        console.print(f"{plural(found['losses']['step'], 'step')}; losses of the last one: {told}")
    for name, value in found["figures"].items():
        console.print(f"{shown(name)}: {'no number' if value is None else f'{value:.3f}'}")
    console.print(f"{shown(to)}: {', '.join(found['layouts'] or ['training.json'])}")


def _train_head(arguments: argparse.Namespace) -> int:
    from rich.console import Console

    from tuwen.engine.train_head import train_head

    found = train_head(arguments.corpus, arguments.label, arguments.to, embedding=arguments.embedding)
    if arguments.json:
        print_json(asdict(found))
        return 0
    console = Console(highlight=False)
    of = "" if found.num_true is None else f", {found.num_true:,} of them true"
    console.print(f"{plural(found.num_labels, 'label')} in {shown(found.label)}{of}.")
    console.print(f"{found.measure} on images that it was not fitted to: {found.quality:.3f}")
    console.print(f"Next: a stage with head: {shown(found.path)} (safety.nsfw, safety.watermark, image.aesthetic)")
    return 0


def _train_scorer(arguments: argparse.Namespace) -> int:
    from tuwen.engine.progress import Progress
    from tuwen.engine.train_scorer import train_scorer

    found = train_scorer(
        arguments.corpus,
        arguments.selection,
        arguments.to,
        folds=arguments.folds,
        seed=arguments.seed,
        max_pairs=arguments.max_pairs,
        steps=arguments.steps,
        workers=arguments.workers or os.cpu_count() or 1,
        allow_code=arguments.allow_code,
        progress=Progress(quiet=arguments.json),
    )
    print_json(found) if arguments.json else print_scorer(found, arguments.to)
    return 0 if found["verdict"]["learned"] else 1


def print_scorer(found: Mapping[str, Any], to: str) -> None:
    """Counts, learning curves and the verdict."""
    from rich.console import Console

    console = Console(highlight=False)
    console.print(
        f"{plural(found['num_pairs'], 'pair')} of {shown(found['selection'])}: "
        f"{plural(found['num_images'], 'image')}, {plural(found['num_texts'], 'text')}; {found['folds']} folds by "
        f"{found['fold_key']}, {plural(found['steps'], 'step')} each"
    )
    if found["curves"]:
        console.print(_curves(found["curves"]))
        chosen = ", ".join(map(str, found["chosen_steps"]))
        console.print(f"AUC is of right against wrong texts of images kept aside; the best step is taken: {chosen}")
    if found["auc_new_texts"]:
        new = found["auc_new_texts"]
        console.print(
            f"Pairs with texts that the model never read: AUC {new['auc']:.3f} [{new['low']:.3f}, {new['high']:.3f}], "
            f"{new['num_pairs']:,} pairs"
        )
    if found["verdict"]["learned"]:
        console.print(f"It learnt something: {found['verdict']['reason']}.")
        console.print(f"Next: the stages image.scorer and pair.scorer in the recipe, each with model: {shown(to)}")
    else:
        console.print(f"It can't learn from this: {found['verdict']['reason']}.")
        console.print(
            "The stages refuse this scorer. Give it more pairs or a stricter selection, or score with a model from "
            "elsewhere (pair.similarity)."
        )


def _curves(curves: Sequence[Sequence[Mapping[str, Any]]]) -> Any:
    """Loss and AUC of each fold by step, a line of bars below."""
    from rich.table import Column, Table

    headings = [f"{what}, fold {fold}" for fold in range(len(curves)) for what in ("loss", "AUC")]
    table = Table(*(Column(heading, justify="right") for heading in ("step", *headings)), show_footer=False)
    for points in zip(*curves, strict=True):
        cells = [f"{point[what]:.3f}" for point in points for what in ("loss", "auc")]
        table.add_row(str(points[0]["step"]), *cells)
    table.add_section()
    bars = [sparkline([point[what] for point in curve]) for curve in curves for what in ("loss", "auc")]
    table.add_row("", *bars)
    return table


def sparkline(values: Sequence[float]) -> str:
    """Values as bars, the smallest lowest."""
    low, high = min(values), max(values)
    return "".join(BARS[round((value - low) / (high - low or 1) * (len(BARS) - 1))] for value in values)
