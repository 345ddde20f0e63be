"""decisions.parquet: why rows are not in a release, without telling on whoever opted out.

Always: how many rows each rule refused. Then, row by row, the refusals that may be published: a salted id, the rule
and the value it judged. Rows refused for rights or safety appear in the counts alone, because a list of them would be
an index of exactly what should not be found. A rule is of that kind if it names a column (or is a step whose name
contains a word) matched by `PRIVATE`; better one too many than one too few. A value that quotes the row (a text, a
title, an address, or anything long) is left null: next to it the salt would be in vain.

The salt is the digest of the selection and of the corpus' fingerprint. It is public: whoever owns an image can look
up its fate, but the lists of two releases cannot be joined with each other or with a table of known hashes at no cost.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa

from tuwen.corpus.tables import digest
from tuwen.releases.content import Content
from tuwen.releases.manifest import canonical_json
from tuwen.releases.shards import parquet_writer
from tuwen.selections.ledger import Ledger

DECISIONS = "decisions.parquet"
SCHEMA = pa.schema(
    [
        pa.field("kind", pa.string()),  # count: one per rule. decision: one per row
        pa.field("step", pa.int32()),  # of the selection; null: kept, or left out at release
        pa.field("rule", pa.string()),  # as it judged; null: kept
        pa.field("num_rows", pa.int64()),  # counts only
        pa.field("id", pa.string()),  # decisions only: digest of salt and id, or the id itself in a full ledger
        pa.field("value", pa.string()),  # decisions only: what the rule saw
    ]
)
PRIVATE = re.compile(
    r"no_?(image)?_?(ai|index|archive|train)|opt_?(out|in)|robots|tdm|ai_?pref|content_usage|c2pa|rights|licen[cs]e|copyright"
    r"|takedown|tombstone|taken down|blocklist|safe|nsfw|csam|porn|sexual|nud(e|ity)|gore|violen|abus|hate|toxic"
    r"|face|person|pii|privacy",
    re.IGNORECASE,
)
QUOTES = r'"([a-z_]+\.)?(text|title|url|image_ref|bytes|nodes)":'  # keys of a value, which is JSON
MAX_VALUE = 100
_ROW_GROUP = 65_536


def is_private(rule: str | None) -> bool:
    """Whether rows that this rule refused may appear in the counts only."""
    return rule is not None and PRIVATE.search(rule) is not None


def salt_of(selection: dict[str, Any], fingerprint: dict[str, Any]) -> str:
    """The release's salt, 32 hexadecimal digits: the same for the same selection over the same rows."""
    return digest("tuwen decisions", canonical_json([selection, fingerprint]))


def write_decisions(path: Path, content: Content, ledger: Ledger, salt: str, *, full: bool) -> int:
    """Write the file; returns its rows. `full` writes every decision with its plain id, for home use."""
    connection = content.connection
    connection.execute(
        "CREATE OR REPLACE TEMP VIEW ledger AS SELECT id, step, rule::VARCHAR AS rule, value::VARCHAR AS value "
        f"FROM {ledger.file.sql}"
    )
    steps = {step.step: f"{step.name} " for step in ledger.funnel()}
    rules = content.query("SELECT DISTINCT step, rule FROM ledger WHERE step IS NOT NULL ORDER BY ALL")
    private = [(step, rule) for step, rule in rules if is_private(f"{steps.get(step, '')}{rule or ''}")]
    connection.execute("CREATE OR REPLACE TEMP TABLE private_rules (step INTEGER, rule VARCHAR)")
    if private:
        connection.executemany("INSERT INTO private_rules VALUES (?, ?)", private)
    counts = """SELECT 'count' AS kind, step::INTEGER AS step, rule, count(*) AS num_rows, NULL AS id, NULL AS value
        FROM ledger GROUP BY step, rule"""
    left_out = """SELECT 'count', NULL, 'release: ' || reason, count(*), NULL, NULL
        FROM candidates WHERE reason IS NOT NULL GROUP BY reason"""
    identity = "id" if full else f"substr(sha256('{salt}' || id), 1, 32)"
    allowed = (
        "true"
        if full
        else (
            "step IS NOT NULL AND NOT EXISTS (FROM private_rules p "
            "WHERE p.step = ledger.step AND p.rule IS NOT DISTINCT FROM ledger.rule)"
        )
    )
    value = (
        "value"
        if full
        else (f"CASE WHEN length(value) <= {MAX_VALUE} AND NOT regexp_matches(value, '{QUOTES}') THEN value END")
    )
    decisions = f"""SELECT 'decision' AS kind, step::INTEGER AS step, rule, NULL AS num_rows, {identity} AS id,
        {value} AS value FROM ledger WHERE {allowed}"""
    # Sorted apart: of one union DuckDB holds all rows in memory before it sorts them.
    order = "ORDER BY step NULLS FIRST, rule NULLS FIRST, id"
    counted = connection.sql(f"FROM ({counts} UNION ALL {left_out}) {order}").to_arrow_table()
    ordered = connection.sql(f"FROM ({decisions}) {order}").to_arrow_reader(_ROW_GROUP)
    return _write(path, chain(counted.to_batches(), ordered))


def _write(path: Path, batches: Iterable[pa.RecordBatch]) -> int:
    """Row groups of a fixed size, however the batches come."""
    rows = 0
    with parquet_writer(path, SCHEMA) as writer:
        pending = SCHEMA.empty_table()
        for batch in batches:
            pending = pa.concat_tables([pending, pa.Table.from_batches([batch]).cast(SCHEMA)])
            while pending.num_rows >= _ROW_GROUP:
                writer.write_table(pending.slice(0, _ROW_GROUP).combine_chunks())
                pending = pending.slice(_ROW_GROUP)
            rows += batch.num_rows
        if pending.num_rows:
            writer.write_table(pending.combine_chunks())
    return rows
