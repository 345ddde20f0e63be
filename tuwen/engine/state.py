"""States of stages that look at the whole corpus: made once by the driver, memory-mapped by every worker."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pyarrow as pa

from tuwen.corpus.corpus import Corpus
from tuwen.errors import TuwenError
from tuwen.parts import name_of, parameters_of
from tuwen.stages import Stage, kind_of, option


def write_state(corpus: Corpus, stage: Stage) -> Path:
    """Run the stage's `prepare` and store its table as an Arrow file; returns where.

    A fitted state stays in the corpus until `forget_fitted`; a corpus-wide one lies in tmp for one pass; that of a join
    is there already.
    """
    if kind_of(stage) == "joined":
        joined: Any = stage
        return Path(joined.state_file(corpus.path))
    fitted = kind_of(stage) == "fitted"
    path = _fitted_file(corpus, stage) if fitted else corpus.folder("tmp") / f"{name_of(stage)}-{os.getpid()}.arrow"
    if fitted and path.exists():
        return path
    prepared: Any = stage
    try:
        state: pa.Table | pa.RecordBatchReader = prepared.prepare(corpus)
    except TuwenError:
        raise
    except Exception as error:
        raise TuwenError(f"{name_of(stage)} failed to prepare: {type(error).__name__}: {error}") from error
    reader = state.to_reader() if isinstance(state, pa.Table) else state
    partial = path.with_suffix(".partial")
    with pa.OSFile(str(partial), "wb") as sink, pa.ipc.new_file(sink, reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)
    partial.replace(path)
    return path


def read_state(path: Path) -> pa.Table:
    """The stored table, memory-mapped."""
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()


def fitted_state(corpus: Corpus, stage: Stage) -> pa.Table | None:
    """The pinned state of a fitted stage, memory-mapped; None before the first run."""
    path = _fitted_file(corpus, stage)
    return read_state(path) if path.exists() else None


def fitted_digest(corpus: Corpus, stage: Stage) -> str:
    """Digest of the pinned state of a fitted stage; "not fitted" before the first run."""
    path = _fitted_file(corpus, stage)
    return hashlib.blake2b(path.read_bytes(), digest_size=8).hexdigest() if path.exists() else "not fitted"


def forget_fitted(corpus: Corpus, stage: Stage) -> None:
    """Let the next run fit anew."""
    _fitted_file(corpus, stage).unlink(missing_ok=True)


def _fitted_file(corpus: Corpus, stage: Stage) -> Path:
    model = option(stage, "model_hash")  # of files that it is fitted from: another list is another fit
    configured = repr((option(stage, "version", 1), sorted(parameters_of(stage).items()), model and model()))
    fingerprint = hashlib.blake2b(configured.encode(), digest_size=8).hexdigest()
    return corpus.folder("states") / f"{name_of(stage)}-{fingerprint}.arrow"
