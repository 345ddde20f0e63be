"""Freeing the bytes of images that no selection wants. Everything computed of them stays, and stays up to date.

A fragment of images is written again with nulls in place of those bytes, its column files as they are; one commit each,
so that a killed run has freed a part and the next one goes on. Earlier corpus versions hold the bytes still and are
given up: the last step, which any run does that finds them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuwen.corpus.columns import FragmentState, TableState, remove_partial_files
from tuwen.corpus.corpus import Corpus, write_json
from tuwen.corpus.indexes import update_indexes
from tuwen.corpus.keys import are_among, packed_keys
from tuwen.corpus.rewriting import forget_versions, replace_fragments, sizes_of, write_without
from tuwen.corpus.scanning import scan_dataset
from tuwen.corpus.units import recover
from tuwen.corpus.versions import tag_version, version_numbers
from tuwen.engine.plan import Freshness, Order, columns_read
from tuwen.engine.recipe import Recipe
from tuwen.errors import TuwenError, UsageError
from tuwen.parts import name_of, nearest
from tuwen.selections.ledger import Ledger
from tuwen.selections.selection import Selection, selections_of
from tuwen.stages.joined import joined_stages

JOURNAL = "gc-journal.json"


@dataclass
class Freed:
    """What was freed, or would be: images and their bytes; `num_wanted` images are kept for `selections`."""

    selections: list[str]
    num_wanted: int = 0
    num_images: int = 0
    num_bytes: int = 0
    num_without: int = 0  # images that had no bytes before
    versions: list[int] = field(default_factory=list)  # corpus versions that were given up
    version: int | None = None


def free(
    corpus: Corpus | str | Path, selections: Sequence[str] = (), *, dry_run: bool = False, allow_code: bool = False
) -> Freed:
    """Free the bytes of images that none of `selections` (default: all of the recipe) keeps. Takes the write lock.

    A selection of images wants those it keeps; one of pairs the images of its pairs; one of documents those of its
    pages that its `images` keep. `UsageError` for a selection that is not there, or none at all.
    """
    corpus = corpus if isinstance(corpus, Corpus) else Corpus.open(corpus)
    known = selections_of(corpus, allow_code=allow_code)
    for name in selections:
        if name not in known:
            raise UsageError(f"{corpus.path} has no selection {name!r}; {nearest(name, known)}")
    names = list(selections) or list(known)
    if not names:
        raise UsageError(f"{corpus.path} has no selections, so nothing says which images are wanted")
    done = Freed(names)
    if dry_run:
        wanted = _wanted(corpus, [known[name] for name in names])
        done.num_wanted = len(wanted)
        for _ in _unwanted(corpus, wanted, done):
            pass
        return done
    with corpus.writing():
        recover(corpus)
        remove_partial_files(corpus)
        _check_computed(corpus, allow_code)
        wanted = _wanted(corpus, [known[name] for name in names])
        done.num_wanted = len(wanted)
        for fragment, mask in _unwanted(corpus, wanted, done):
            write_json(corpus.path / JOURNAL, {"selections": names})  # earlier versions hold what is freed now
            written = write_without(corpus, "images", fragment, "bytes", mask)
            replace_fragments(corpus, "images", [fragment.id], [written])
        if (corpus.path / JOURNAL).exists():
            update_indexes(corpus)
            done.version = tag_version(corpus, "gc")
            done.versions = [number for number in version_numbers(corpus.path) if number < done.version]
            forget_versions(corpus, done.versions)
            (corpus.path / JOURNAL).unlink()
    return done


def _check_computed(corpus: Corpus, allow_code: bool) -> None:
    """Refuse while a stage has not seen the bytes yet: it never would."""
    recipe = Recipe.from_mapping(corpus.recipe(), allow_code=allow_code)
    order = Order.of([*recipe.stages, *joined_stages(corpus.path)])
    freshness = Freshness(corpus, order)
    for stage in order.stages:
        if ("images", "bytes") in columns_read(stage) and freshness.pending(stage, {}):
            raise TuwenError(
                f"{name_of(stage)} is out of date and reads the bytes of images; run tuwen build to its end before any "
                "are freed, or take the stage out of the recipe"
            )


def _wanted(corpus: Corpus, selections: Sequence[Selection]) -> NDArray[Any]:
    """Ids of images that are wanted, ascending, 16 bytes each."""
    pieces = [np.empty(0, "S16")]
    for selection in selections:
        ledger = Ledger.open_or_judge(corpus, selection.name)
        if selection.unit == "image":
            pieces += [packed_keys(batch["id"]) for batch in ledger.kept()]
            continue
        table = f"{selection.unit}s"
        column = "image_id" if selection.unit == "pair" else "unnest(image_ids)"
        named = "image_id" if selection.unit == "pair" else "image_ids"
        if named not in corpus.columns(table):
            raise UsageError(f"{table} have no {named!r} yet, so which images {selection.name} wants is not known")
        with corpus.connect() as connection:
            connection.register(table, corpus.stored(table, [f"{selection.unit}_id", named]))
            kept = f"(SELECT id FROM {ledger.file.sql} WHERE step IS NULL)"
            query = f"SELECT DISTINCT {column} AS id FROM {table} WHERE {selection.unit}_id IN {kept}"
            reader = connection.sql(query).to_arrow_reader(65_536)
            found = [packed_keys(batch["id"].drop_null()) for batch in reader]
        if selection.images:
            allowed = np.sort(np.concatenate([np.empty(0, "S16"), *_kept(corpus, selection.images)]))
            found = [ids[are_among(ids, allowed)] for ids in found]
        pieces += found
    return np.unique(np.concatenate(pieces))


def _kept(corpus: Corpus, name: str) -> Iterator[NDArray[Any]]:
    for batch in Ledger.open_or_judge(corpus, name).kept():
        yield packed_keys(batch["id"])


def _unwanted(corpus: Corpus, wanted: NDArray[Any], done: Freed) -> Iterator[tuple[FragmentState, NDArray[np.bool_]]]:
    """Fragments with bytes that nobody wants, and which rows those are; counted in `done`."""
    for state in TableState.read(corpus, "images").fragments:
        fragment = corpus.dataset("images").get_fragment(state.id)
        assert fragment is not None
        keys = np.concatenate([packed_keys(batch.column(0)) for batch in scan_dataset(fragment, ["image_id"])])
        sizes = sizes_of(fragment, "bytes")
        mask = ~are_among(keys, wanted) & (sizes >= 0)
        done.num_without += int((sizes < 0).sum())
        done.num_images += int(mask.sum())
        done.num_bytes += int(sizes[mask].sum())
        if mask.any():
            yield state, mask | (sizes < 0)
