"""Verdicts: what can be said of a ledger in each column, and the rows in which it is said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast

import pyarrow as pa
import pyarrow.compute as pc

OK: Final = "ok"
BAD: Final = "bad"
NOT_APPLICABLE: Final = "n/a"
ABSENT: Final = "absent"
KNOWN_DIVERGENCE: Final = "known-divergence"
VERDICTS: Final = (OK, BAD, NOT_APPLICABLE, ABSENT, KNOWN_DIVERGENCE)

COLUMNS: Final = (
    "header_hash",
    "chain_link",
    "tx_set_hash",
    "result_hash",
    "transaction_hashes",
    "bucket_list_hash",
    "scp_signature",
    "supply",
    "state",
)
"""What is judged, in the order in which a first bad column is named."""

VERDICT_SCHEMA: Final = pa.schema(
    [
        pa.field("ledger_sequence", pa.int64(), nullable=False),
        pa.field("ledger_hash", pa.string()),
        *(pa.field(name, pa.string(), nullable=False) for name in COLUMNS),
        pa.field("note", pa.string()),
    ]
)


def missing_ledgers(
    first: int, last: int, why: str, culprit: int | None = None, column: str = "header_hash"
) -> pa.RecordBatch:
    """Verdicts over ledgers that the source does not have, or not in a form that can be read.

    Args:
        first: lowest ledger sequence.
        last: highest, inclusive.
        why: what kept them from being read.
        culprit: the ledger that is at fault, if the others are merely in the same file; None for all.
        column: the column that is bad; the others are ``absent``.
    """
    count = last - first + 1
    sequences = pa.array(range(first, last + 1), pa.int64())
    verdicts = {name: pa.repeat(ABSENT, count) for name in COLUMNS}
    verdicts[column] = (
        pa.repeat(BAD, count) if culprit is None else pc.if_else(pc.equal(sequences, culprit), BAD, ABSENT)
    )
    return pa.record_batch(
        [
            sequences,
            pa.nulls(count, pa.string()),
            *(verdicts[name] for name in COLUMNS),
            pa.repeat(f"{column}: {why}", count),
        ],
        schema=VERDICT_SCHEMA,
    )


def with_outcomes(verdicts: pa.RecordBatch, outcomes: Mapping[int, Mapping[str, tuple[str, str]]]) -> pa.RecordBatch:
    """Put the outcomes of checkpoints into their rows.

    Args:
        verdicts: rows of `judge_ledgers`, ascending.
        outcomes: by ledger sequence and column: verdict and note (empty for none). A verdict that is already ``bad``
            stays so.
    """
    if not outcomes:
        return verdicts
    first = cast("int", verdicts.column("ledger_sequence")[0].as_py())
    columns = {name: verdicts.column(name).to_pylist() for name in (*COLUMNS, "note")}  # a chunk at most, not hot
    for sequence, found in outcomes.items():
        row = sequence - first
        for name, (verdict, note) in found.items():
            if columns[name][row] == BAD:
                continue
            columns[name][row] = verdict
            if note:
                before = columns["note"][row]
                columns["note"][row] = f"{before}; {name}: {note}" if before else f"{name}: {note}"
    return pa.record_batch(
        [
            verdicts.column("ledger_sequence"),
            verdicts.column("ledger_hash"),
            *(pa.array(columns[name], pa.string()) for name in (*COLUMNS, "note")),
        ],
        schema=VERDICT_SCHEMA,
    )
