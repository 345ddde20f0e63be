"""tuwen (图文, "image-text"): from raw web to a proven image-text corpus for vision-language pre-training.

import tuwen

tuwen.build("recipe.yaml", "corpus")                    # sources and stages, doing only what is not done yet
corpus = tuwen.open("corpus")
corpus.table("pairs", ["text", "language"])             # Arrow; .to_pandas(), polars.from_arrow(…)
tuwen.join(corpus, "scores.parquet", on="pair_id")      # columns that were computed elsewhere
tuwen.run("text.language", {"text": ["ein Satz"]})      # one stage on a few rows
ledger = tuwen.judge(corpus, "strong")                  # a selection of the recipe, or tuwen.Selection(…)
tuwen.why(corpus, "9f3a")                               # the whole life of one row
tuwen.search(corpus, "a red bicycle").hits              # by words, meaning, image or id; tuwen.Searcher for many
tuwen.release(corpus, "strong", "out")                  # frozen, with card and manifest
tuwen.verify("out")                                     # [] when every byte is right
tuwen.diff("out", "out2").rows.added                    # two releases, or selections of corpora: "corpus:strong"
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from tuwen.corpus.corpus import Corpus as Corpus
    from tuwen.engine.build import build as build
    from tuwen.engine.build import plan as plan
    from tuwen.engine.join import drop_join as drop_join
    from tuwen.engine.join import join as join
    from tuwen.engine.recipe import Recipe as Recipe
    from tuwen.engine.search import Searcher as Searcher
    from tuwen.engine.search import search as search
    from tuwen.engine.single import run as run
    from tuwen.engine.single import stage as stage
    from tuwen.releases.diff import diff as diff
    from tuwen.releases.release import release as release
    from tuwen.releases.verify import verify as verify
    from tuwen.selections.ledger import judge as judge
    from tuwen.selections.selection import Selection as Selection
    from tuwen.selections.why import why as why

    open = Corpus.open

# Imported when first used, so that `tuwen --help` and `import tuwen` cost nothing.
_PUBLIC = {
    "Corpus": "tuwen.corpus.corpus",
    "Recipe": "tuwen.engine.recipe",
    "Searcher": "tuwen.engine.search",
    "Selection": "tuwen.selections.selection",
    "build": "tuwen.engine.build",
    "diff": "tuwen.releases.diff",
    "drop_join": "tuwen.engine.join",
    "join": "tuwen.engine.join",
    "judge": "tuwen.selections.ledger",
    "plan": "tuwen.engine.build",
    "release": "tuwen.releases.release",
    "run": "tuwen.engine.single",
    "search": "tuwen.engine.search",
    "stage": "tuwen.engine.single",
    "verify": "tuwen.releases.verify",
    "why": "tuwen.selections.why",
}
__all__ = [
    "Corpus",
    "Recipe",
    "Searcher",
    "Selection",
    "build",
    "diff",
    "drop_join",
    "join",
    "judge",
    "open",
    "plan",
    "release",
    "run",
    "search",
    "stage",
    "verify",
    "why",
]


def __getattr__(name: str) -> Any:
    if name == "open":
        return importlib.import_module("tuwen.corpus.corpus").Corpus.open
    if name not in _PUBLIC:
        raise AttributeError(f"module 'tuwen' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
