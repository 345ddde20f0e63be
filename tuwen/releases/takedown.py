"""Taking something down: what it touches, recording it, and releases that no longer hold it.

A takedown is a row in `tombstones` (see `tuwen.corpus.tombstones`). From then on no selection, search or release holds
what it names, nor texts that were derived from it; bytes and texts stay on the disk until `tuwen purge`. Releases that
are out cannot be called back: those that hold anything of it are listed shard by shard, and patched.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from tuwen.corpus.corpus import Corpus
from tuwen.corpus.tables import ID_CHARACTERS, SHA256_CHARACTERS, TABLES, digest
from tuwen.corpus.tombstones import Stone, add_stones, read_stones
from tuwen.corpus.units import recover
from tuwen.corpus.versions import read_version, tag_version, version_numbers
from tuwen.errors import TuwenError, UsageError
from tuwen.releases.lineage import RECIPE, lineage
from tuwen.releases.manifest import MANIFEST, Manifest, canonical_json, read_manifest
from tuwen.releases.measure import FINGERPRINTED, fingerprint_of
from tuwen.releases.release import inner_ledgers, write_release
from tuwen.selections.ledger import Ledger
from tuwen.selections.selection import Selection
from tuwen.selections.takedowns import HASH, is_near
from tuwen.selections.tree import literal
from tuwen.stages.image.perceptual_hash import PerceptualHash, perceptual_hashes
from tuwen.stages.image.pixels import decode

RADIUS = 6
"""Bits of 64 in which the perceptual hashes of two versions of one picture differ: resized, recompressed, gray."""
MAX_RADIUS = 16
"""Beyond it, pictures that have nothing to do with each other are neighbours."""
_ID = re.compile(rf"[0-9a-f]{{{ID_CHARACTERS}}}")


def stones_for(
    corpus: Corpus,
    images: Sequence[str] = (),
    urls: Sequence[str] = (),
    domains: Sequence[str] = (),
    near: Sequence[str] = (),
    radius: int = RADIUS,
) -> list[Stone]:
    """What is to be taken down, as tombstones. `images` and `near` are ids, or files with the image's bytes.

    A neighbour gives a tombstone for every image that is near now, and one for those that come later. Raises
    `UsageError` for what names nothing that could be meant: an id that no image has, a URL without a host.
    """
    if not 0 <= radius <= MAX_RADIUS:
        raise UsageError(f"a radius is 0 to {MAX_RADIUS} bits, got {radius}; beyond, unrelated pictures are near")
    stones = [Stone("image", _image_id(corpus, word)) for word in images]
    stones += [Stone("url", _url(word)) for word in urls]
    stones += [Stone("domain", _domain(word)) for word in domains]
    for word in near:
        value = f"{_perceptual_hash(corpus, word):016x}/{radius}"
        stones += [Stone("near", value), *(Stone("image", image_id) for image_id in _neighbours(corpus, value))]
    if not stones:
        raise UsageError("nothing to take down; name it with --image, --url, --domain or --near")
    return list(dict.fromkeys(stones))


def take_down(corpus: Corpus, stones: Sequence[Stone], reason: str | None = None) -> list[Stone]:
    """Record takedowns under the corpus' write lock; returns those that were not recorded before."""
    with corpus.writing():
        recover(corpus)
        new = add_stones(corpus, stones, reason)
        if new:
            tag_version(corpus, "takedown")
    return new


def check_patch(target: Path, seal: str) -> None:
    """`UsageError` unless a patch of the release with this seal may be written to `target`: what is there is an earlier
    patch of it, or nothing."""
    if target.is_dir() and any(target.iterdir()):
        told = read_manifest(target).supersedes if (target / MANIFEST).is_file() else None
        if told is None or told["seal"] != seal:
            raise UsageError(f"{target} is not empty, and no earlier patch of this release; name a new folder")
    elif target.exists():
        raise UsageError(f"{target} is a file; name a new folder")


def patch_release(corpus: Corpus, old: str | Path, to: str | Path, *, allow_code: bool = False) -> Manifest:
    """Write the release `old` again as its corpus is without what has been taken down since.

    Format, parameters and selection are those of `old`. Rows are those of the corpus version that it was made of where
    that version is still there, else those of today. The manifest says what it supersedes; the bytes of all else are
    those of a release that knows of no other. An earlier patch of `old` at `to` is replaced, as `check_patch` has it.
    """
    manifest = read_manifest(Path(old))
    check_patch(Path(to), manifest.seal)
    pinned = released_version(corpus, manifest)
    name = str(manifest.selection["name"])
    definition = {key: value for key, value in manifest.selection.items() if key not in ("name", "builds_on")}
    others = manifest.selection.get("builds_on") or {}
    selections = {
        key: Selection.from_mapping(key, value, allow_code=allow_code)
        for key, value in {**others, name: definition}.items()
    }
    ledger = Ledger.open_or_judge(pinned, name, selections)
    return write_release(
        pinned,
        ledger,
        to,
        str(manifest.writer["name"]),
        manifest.writer["parameters"],
        inner=inner_ledgers(pinned, ledger.selection, selections),
        full_ledger=bool(manifest.decisions["full_ledger"]),
        allow_code=allow_code,
        supersedes=manifest,
        overwrite=True,
    )


def released_version(corpus: Corpus, manifest: Manifest) -> Corpus:
    """The newest version of the corpus with the rows that a release was made of, today's takedowns apart; else today's.

    Of several, one whose rows and columns were made as the release says. Numbered versions are the only ones kept.
    """
    now, recipe = corpus.version(), corpus.recipe()
    known: dict[tuple[str, int], bool] = {}
    fitting = None
    for state in ({"tables": now, "recipe": recipe}, *_numbered(corpus)):
        tables = {**state["tables"], "tombstones": now["tombstones"]}
        candidate = Corpus(corpus.path, tables, recipe=state.get("recipe", recipe))
        for table in FINGERPRINTED:
            if (table, tables[table]) not in known:
                known[table, tables[table]] = _has_rows(candidate, table, manifest)
            if not known[table, tables[table]]:
                break
        else:
            if _made_as(candidate, manifest):
                return candidate
            fitting = fitting or candidate
    return fitting or corpus.pinned()


def _numbered(corpus: Corpus) -> Iterator[dict[str, Any]]:
    for number in reversed(version_numbers(corpus.path)):
        yield read_version(corpus.path, number)


def _made_as(corpus: Corpus, manifest: Manifest) -> bool:
    """Whether a release of this version would tell the story of its making in the same bytes."""
    told = manifest.files.get(RECIPE)
    try:
        return told is not None and told.sha256 == sha256(canonical_json(lineage(corpus), indent=1)).hexdigest()
    except (TuwenError, OSError):  # units of a version that was cleaned away
        return False


def _has_rows(corpus: Corpus, table: str, manifest: Manifest) -> bool:
    expected = manifest.corpus.get(table) or {}
    try:
        if corpus.count(table) != expected.get("rows"):
            return False
    except (TuwenError, OSError):  # a version that was cleaned away
        return False
    with corpus.connect() as connection:
        connection.register(table, corpus.stored(table, [TABLES[table].key]))
        return fingerprint_of(lambda sql: connection.execute(sql).fetchall(), table) == expected


def _image_id(corpus: Corpus, word: str) -> str:
    if Path(word).is_file():
        return digest(Path(word).read_bytes())
    if len(word) == SHA256_CHARACTERS:  # as sha256sum prints it
        word = word[:ID_CHARACTERS]
    known = _ID.fullmatch(word) and (
        corpus.table("images", ["image_id"], f"image_id = '{word}'").num_rows
        or Stone("image", word) in read_stones(corpus)
    )
    if not known:
        raise UsageError(
            f"--image takes the {ID_CHARACTERS} digits of an image of the corpus, or a file with its bytes; {word!r} "
            f"is neither. `tuwen search {corpus.path} WORDS` and `tuwen why` find ids"
        )
    return word


def _url(word: str) -> str:
    if "://" not in word:
        raise UsageError(f"--url takes a whole URL as pages have it (https://host/path), got {word!r}")
    return word


def _domain(word: str) -> str:
    if not re.fullmatch(r"[\w.-]+|\[[0-9a-fA-F:.]+\]", word) or word.startswith("."):
        raise UsageError(f"--domain takes a host without scheme, port or path (example.org), got {word!r}")
    return word.lower()


def _perceptual_hash(corpus: Corpus, word: str) -> int:
    if Path(word).is_file():
        decoded = decode(Path(word).read_bytes(), PerceptualHash.pixels)
        if decoded.gray is None:
            raise UsageError(f"--near: {word} cannot be decoded ({decoded.error})")
        return int(perceptual_hashes([decoded.gray])[0])
    image_id = _image_id(corpus, word)
    _check_hashed(corpus)
    found = corpus.table("images", [HASH], f"image_id = '{image_id}'")[HASH].to_pylist()
    if found in ([], [None]):
        raise UsageError(
            f"--near: image {image_id} has no perceptual hash (it did not decode); take it down by --image"
        )
    return int(found[0])


def _neighbours(corpus: Corpus, value: str) -> list[str]:
    _check_hashed(corpus)
    query = f"SELECT image_id FROM images WHERE {is_near(HASH, literal(value))} ORDER BY image_id"
    return list(corpus.sql(query, {"images": ["image_id", HASH]}).read_all()["image_id"].to_pylist())


def _check_hashed(corpus: Corpus) -> None:
    if HASH not in corpus.columns("images"):
        raise UsageError("images have no perceptual hashes; add the stage image.perceptual_hash and run tuwen build")
