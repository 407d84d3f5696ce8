"""Table ``config_settings``: the network's settings for smart contracts."""

from __future__ import annotations

import pyarrow as pa

from aurora_ingest.transforms.ledger_unit import RANGE, LedgerUnit
from aurora_ingest.transforms.processors.columns import repeated, selected
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
    """Make one row per setting, in the same order.

    ``value_xdr`` is the XDR ConfigSettingEntry, ``value`` its SEP-51 JSON. Two settings change without any trace in
    a ledger's meta, so every row says at which checkpoint it was read.

    Args:
        settings: entry table ``config_setting`` with the columns of ``TABLE.columns``.
        checkpoint: the ledger of the snapshot.
    """
    return selected(
        settings,
        SCHEMA,
        id=settings.column("config_setting_id"),
        value=settings.column("value_json"),
        as_of_checkpoint=repeated(checkpoint, len(settings)),
    )


def _rows(unit: LedgerUnit) -> pa.RecordBatch:
    return config_setting_rows(unit.post["config_setting"], unit.last_ledger)


TABLE = TableSpec(
    name="config_settings",
    schema=SCHEMA,
    primary_key=("id",),
    stage=RANGE,
    columns={"config_setting": ("config_setting_id", "name", "value_xdr", "value_json", "last_modified_ledger")},
    rows=_rows,
)


class ProcessConfigSettings(ProcessTable):
    """Adds ``config_settings``."""

    spec = TABLE
