"""Uploaded contract code with the cost inputs that the network measured."""

from __future__ import annotations

import pyarrow as pa

from aurora_ingest.transforms.ledger_unit import RANGE
from aurora_ingest.transforms.processors.columns import renamed
from aurora_ingest.transforms.processors.processor import ProcessTable, TableSpec

COST_INPUTS = (
    "n_instructions",
    "n_functions",
    "n_globals",
    "n_table_entries",
    "n_types",
    "n_data_segments",
    "n_elem_segments",
    "n_imports",
    "n_exports",
    "n_data_segment_bytes",
)
SCHEMA = pa.schema(
    [
        pa.field("hash", pa.binary(32), nullable=False),
        pa.field("key_hash", pa.binary(32), nullable=False),
        pa.field("code", pa.binary(), nullable=False),
        pa.field("code_size", pa.int64(), nullable=False),
        pa.field("ext_version", pa.int32(), nullable=False),
        *(pa.field(name, pa.int64()) for name in COST_INPUTS),
        pa.field("last_modified_ledger", pa.int64(), nullable=False),
    ]
)


def contract_code_rows(contract_code: pa.RecordBatch) -> pa.RecordBatch:
    """Make one row per uploaded code.

    Args:
        contract_code: entry table ``contract_code``; sizes in bytes.

    Returns:
        Rows of ``SCHEMA`` in the order of the entries; cost inputs are null for code uploaded before protocol 21.
    """
    return renamed(contract_code, SCHEMA, {})


TABLE = TableSpec(
    name="contract_code",
    schema=SCHEMA,
    primary_key=("hash",),
    stage=RANGE,
    columns={"contract_code": tuple(SCHEMA.names)},
    rows=lambda unit: contract_code_rows(unit.post["contract_code"]),
)


class ProcessContractCode(ProcessTable):
    """Adds the table ``contract_code``."""

    spec = TABLE
