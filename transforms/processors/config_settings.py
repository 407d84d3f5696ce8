"""The network's settings for contracts, as of a checkpoint."""

from __future__ import annotations

import pyarrow as pa

from aurora_ingest.transforms.ledger_unit import RANGE
from aurora_ingest.transforms.processors.columns import batch_of, constant
from aurora_ingest.transforms.processors.processor import ProcessTable, TableSpec

SCHEMA = pa.schema(
    [
        pa.field("id", pa.int32(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("value_xdr", pa.binary(), nullable=False),
        pa.field("value", pa.string(), nullable=False),
        pa.field("last_modified_ledger", pa.int64(), nullable=False),
        pa.field("as_of_checkpoint", pa.int64(), nullable=False),
    ]
)


def config_setting_rows(settings: pa.RecordBatch, checkpoint: int) -> pa.RecordBatch:
    """Make one row per setting.

    Args:
        settings: entry table ``config_setting``.
        checkpoint: ledger whose buckets told the values; two settings change in every ledger without being in any
            meta, so a value is known as of a checkpoint only.

    Returns:
        Rows of ``SCHEMA`` in the order of the entries; ``value`` is the SEP-51 JSON of ``value_xdr``.
    """
    return batch_of(
        SCHEMA,
        {
            "id": settings.column("config_setting_id"),
            "name": settings.column("name"),
            "value_xdr": settings.column("value_xdr"),
            "value": settings.column("value_json"),
            "last_modified_ledger": settings.column("last_modified_ledger"),
            "as_of_checkpoint": constant(checkpoint, pa.int64(), settings.num_rows),
        },
    )


TABLE = TableSpec(
    name="config_settings",
    schema=SCHEMA,
    primary_key=("id",),
    stage=RANGE,
    columns={"config_setting": ("config_setting_id", "name", "value_xdr", "value_json", "last_modified_ledger")},
    rows=lambda unit: config_setting_rows(unit.post["config_setting"], unit.last_ledger),
)


class ProcessConfigSettings(ProcessTable):
    """Adds the table ``config_settings``."""

    spec = TABLE
