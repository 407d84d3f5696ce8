"""Table ``offers``: the open offers of the order book."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from aurora_ingest.transforms.ledger_unit import RANGE, LedgerUnit
from aurora_ingest.transforms.processors.columns import never, selected
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
        pa.field("deleted", pa.bool_()),
        pa.field("sponsor", pa.string()),
    ]
)


def offer_rows(offers: pa.RecordBatch) -> pa.RecordBatch:
    """Make one row per offer, in the same order.

    ``amount`` is in stroops of the selling asset; assets are base64 XDR. The exact price is pricen / priced;
    ``price`` is its nearest float64, for reading and sorting. A snapshot has no ``deleted`` offer.

    Args:
        offers: entry table ``offer`` with the columns of ``TABLE.columns``.
    """
    numerator, denominator = offers.column("price_n"), offers.column("price_d")
    return selected(
        offers,
        SCHEMA,
        selling_asset=offers.column("selling_asset_base64"),
        buying_asset=offers.column("buying_asset_base64"),
        pricen=numerator,
        priced=denominator,
        price=pc.divide(numerator.cast(pa.float64()), denominator.cast(pa.float64())),
        deleted=never(len(offers)),
    )


def _rows(unit: LedgerUnit) -> pa.RecordBatch:
    return offer_rows(unit.post["offer"])


TABLE = TableSpec(
    name="offers",
    schema=SCHEMA,
    primary_key=("offer_id",),
    stage=RANGE,
    columns={
        "offer": (
            "seller_id",
            "offer_id",
            "selling_asset_base64",
            "buying_asset_base64",
            "amount",
            "price_n",
            "price_d",
            "flags",
            "last_modified_ledger",
            "sponsor",
        )
    },
    rows=_rows,
)


class ProcessOffers(ProcessTable):
    """Adds ``offers``."""

    spec = TABLE
