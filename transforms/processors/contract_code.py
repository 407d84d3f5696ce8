"""Table ``contract_code``: the Wasm that contracts run, with its measured sizes."""

from __future__ import annotations

import pyarrow as pa

from aurora_ingest.transforms.ledger_unit import RANGE, LedgerUnit
from aurora_ingest.transforms.processors.columns import HASH, selected
from aurora_ingest.transforms.processors.processor import ProcessTable, TableSpec

SCHEMA = pa.schema(
    [
        pa.field("hash", HASH, nullable=False),
        pa.field("key_hash", HASH, nullable=False),
        pa.field("code", pa.binary(), nullable=False),
        pa.field("code_size", pa.int64(), nullable=False),
        pa.field("ext_version", pa.int32(), nullable=False),
        pa.field("n_instructions", pa.int64()),
        pa.field("n_functions", pa.int64()),
        pa.field("n_globals", pa.int64()),
        pa.field("n_table_entries", pa.int64()),
        pa.field("n_types", pa.int64()),
        pa.field("n_data_segments", pa.int64()),
        pa.field("n_elem_segments", pa.int64()),
        pa.field("n_imports", pa.int64()),
        pa.field("n_exports", pa.int64()),
        pa.field("n_data_segment_bytes", pa.int64()),
        pa.field("last_modified_ledger", pa.int64(), nullable=False),
    ]
)


def contract_code_rows(contract_code: pa.RecordBatch) -> pa.RecordBatch:
    """Make one row per contract code entry, in the same order; nothing is copied.

    ``hash`` is the SHA-256 of the code; ``code_size`` is in bytes; the ten numbers are core's cost inputs, null in
    entries of before protocol 21.

    Args:
        contract_code: entry table ``contract_code`` with the columns of the table.
    """
    return selected(contract_code, SCHEMA)


def _rows(unit: LedgerUnit) -> pa.RecordBatch:
    return contract_code_rows(unit.post["contract_code"])


TABLE = TableSpec(
    name="contract_code",
    schema=SCHEMA,
    primary_key=("hash",),
    stage=RANGE,
    columns={"contract_code": tuple(SCHEMA.names)},
    rows=_rows,
)


class ProcessContractCode(ProcessTable):
    """Adds ``contract_code``."""

    spec = TABLE
