"""Small histories for the tests of the database room: hand-made rows of two history tables."""

from __future__ import annotations

from datetime import datetime, timezone

import pyarrow as pa
import sqlalchemy as sa

from aurora_ingest.db.history import COUNTS_SCHEMA, ChunkTransaction, HistoryTarget
from aurora_ingest.ledger.ledger_range import LedgerRange

PASSPHRASE = "Test Network"
TABLES = ("history_ledgers", "history_operations")


def target(source: str = "lake", *, keep_going: bool = False, tables: tuple[str, ...] = TABLES) -> HistoryTarget:
    return HistoryTarget(tables, source, PASSPHRASE, keep_going)


def ledgers(span: LedgerRange, mark: str = "a") -> pa.RecordBatch:
    closed = pa.scalar(datetime(2026, 1, 1, tzinfo=timezone.utc).replace(tzinfo=None), pa.timestamp("us"))
    count = len(span)
    sequences = pa.array(list(span), pa.int64())
    numbers = pa.array([7] * count, pa.int64())
    return pa.record_batch(
        {
            "sequence": sequences,
            "ledger_hash": pa.array([f"{mark}{ledger:063}" for ledger in span]),
            "previous_ledger_hash": pa.array(["b" * 64] * count),
            "transaction_count": numbers,
            "operation_count": numbers,
            "closed_at": pa.repeat(closed, count),
            "created_at": pa.repeat(closed, count),
            "updated_at": pa.repeat(closed, count),
            "id": numbers,
            "importer_version": numbers,
            "total_coins": numbers,
            "fee_pool": numbers,
            "base_fee": numbers,
            "base_reserve": numbers,
            "max_tx_set_size": numbers,
            "protocol_version": numbers,
            "ledger_header": pa.array(["AAAA"] * count),
            "successful_transaction_count": numbers,
            "failed_transaction_count": numbers,
            "tx_set_operation_count": numbers,
        }
    )


def operations(span: LedgerRange, per_ledger: int = 3) -> pa.RecordBatch:
    places = [(ledger, number) for ledger in span for number in range(1, per_ledger + 1)]
    count = len(places)
    return pa.record_batch(
        {
            "id": pa.array([ledger << 32 | 1 << 12 | number for ledger, number in places], pa.int64()),
            "transaction_id": pa.array([ledger << 32 | 1 << 12 for ledger, _ in places], pa.int64()),
            "application_order": pa.array([number for _, number in places], pa.int32()),
            "type": pa.array([1] * count, pa.int32()),
            "source_account": pa.array([f"G{ledger}" for ledger, _ in places]),
            "body": pa.array(["AAAA"] * count),
        }
    )


def counts(table: str, span: LedgerRange, rows: int, held: int = 0) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(
        [
            {
                "ledger_sequence": ledger,
                "table_name": table,
                "rows_in": rows,
                "rows_out": rows - held,
                "quarantined": held,
            }
            for ledger in span
        ],
        COUNTS_SCHEMA,
    )


def fill(transaction: ChunkTransaction, span: LedgerRange, mark: str = "a") -> None:
    transaction.write("history_ledgers", ledgers(span, mark))
    transaction.write_counts(counts("history_ledgers", span, 1))
    transaction.write("history_operations", operations(span))
    transaction.write_counts(counts("history_operations", span, 3))


def write(engine: sa.Engine, span: LedgerRange, mark: str = "a", source: str = "lake") -> None:
    transaction = ChunkTransaction(engine, span, target(source))
    fill(transaction, span, mark)
    transaction.commit()


def sequences(engine: sa.Engine) -> dict[int, str]:
    """The first letter of the hash of each ledger that is there."""
    with engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT sequence, ledger_hash FROM history_ledgers ORDER BY 1")
        return {row[0]: row[1][0] for row in found}


def operations_per_ledger(engine: sa.Engine) -> dict[int, int]:
    with engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT id >> 32, count(*) FROM history_operations GROUP BY 1 ORDER BY 1")
        return {row[0]: row[1] for row in found}
