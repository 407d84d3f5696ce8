"""Open offers of the order books."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from aurora_ingest.transforms.ledger_unit import RANGE
from aurora_ingest.transforms.processors.columns import batch_of, constant
from aurora_ingest.transforms.processors.processor import ProcessTable, TableSpec

SCHEMA = pa.schema(
    [
        pa.field("seller_id", pa.string(), nullable=False),
        pa.field("offer_id", pa.int64(), nullable=False),
        pa.field("selling_asset", pa.string(), nullable=False),
        pa.field("buying_asset", pa.string(), nullable=False),
        pa.field("amount", pa.int64(), nullable=False),
        pa.field("pricen", pa.int32(), nullable=False),
        pa.field("priced", pa.int32(), nullable=False),
        pa.field("price", pa.float64(), nullable=False),
        pa.field("flags", pa.int64(), nullable=False),
        pa.field("last_modified_ledger", pa.int64(), nullable=False),
        pa.field("deleted", pa.bool_(), nullable=False),
        pa.field("sponsor", pa.string()),
    ]
)
_SOURCES = {
    "selling_asset": "selling_asset_base64",
    "buying_asset": "buying_asset_base64",
    "pricen": "price_n",
    "priced": "price_d",
}
_AS_READ = {name: _SOURCES.get(name, name) for name in SCHEMA.names if name not in {"price", "deleted"}}


def offer_rows(offers: pa.RecordBatch) -> pa.RecordBatch:
    """Make one row per offer.

    Args:
        offers: entry table ``offer``; amounts in stroops of the asset sold.

    Returns:
        Rows of ``SCHEMA`` in the order of the entries; assets as base64 XDR. ``price`` only approximates the exact
        fraction pricen/priced, as in Horizon's table.
    """
    columns = {name: offers.column(source) for name, source in _AS_READ.items()}
    columns["price"] = pc.divide(columns["pricen"].cast(pa.float64()), columns["priced"].cast(pa.float64()))
    columns["deleted"] = constant(value=False, kind=pa.bool_(), length=offers.num_rows)
    return batch_of(SCHEMA, columns)


TABLE = TableSpec(
    name="offers",
    schema=SCHEMA,
    primary_key=("offer_id",),
    stage=RANGE,
    columns={"offer": tuple(_AS_READ.values())},
    rows=lambda unit: offer_rows(unit.post["offer"]),
)


class ProcessOffers(ProcessTable):
    """Adds the table ``offers``."""

    spec = TABLE
