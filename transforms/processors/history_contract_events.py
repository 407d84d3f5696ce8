"""Table ``history_contract_events``: every event that contracts and the system raised, diagnostic ones too."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from aurora_ingest.transforms.ledger_unit import CHUNK, LedgerUnit
from aurora_ingest.transforms.processors.columns import or_empty, selected
from aurora_ingest.transforms.processors.history_columns import (
    TEXTS,
    base64_of,
    ids_of_operations,
    ids_of_transactions,
    sorted_rows,
)
from aurora_ingest.transforms.processors.processor import ProcessTable, TableSpec

SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("ledger_sequence", pa.int64(), nullable=False),
        pa.field("transaction_order", pa.int32(), nullable=False),
        pa.field("operation_order", pa.int32(), nullable=False),
        pa.field("stage", pa.string(), nullable=False),
        pa.field("is_diagnostic", pa.bool_(), nullable=False),
        pa.field("event_index", pa.int32(), nullable=False),
        pa.field("type", pa.int32(), nullable=False),
        pa.field("in_successful_contract_call", pa.bool_(), nullable=False),
        pa.field("contract_id", pa.string()),
        pa.field("topics", TEXTS, nullable=False),
        pa.field("data", pa.string(), nullable=False),
        pa.field("event", pa.string(), nullable=False),
    ]
)

_ORDER = ("ledger_sequence", "transaction_order", "is_diagnostic", "operation_order", "event_index")


def history_contract_event_rows(events: pa.RecordBatch) -> pa.RecordBatch:
    """Make one row per event, in the order of the primary key.

    ``id`` is the total order id of the operation, or of the transaction when ``operation_order`` is 0: events of
    whole transactions (fees), with their ``stage``, and diagnostic ones. ``stage`` is '' elsewhere. ``event_index``
    counts from 0 in the list that the event stands in; diagnostic events have a list of their own, which repeats
    the others and depends on how the exporting node was set up. Only a diagnostic event can stem from a call that
    failed: the others took effect, fees of failed transactions too. ``topics`` and ``data`` are base64 XDR of SCVals,
    ``event`` that of the ContractEvent.

    Args:
        events: kernel table ``contract_events`` with the columns of ``TABLE.columns``.
    """
    place = events.schema.get_field_index("operation_order")
    events = events.set_column(place, "operation_order", pc.fill_null(events.column(place), 0))
    events = sorted_rows(events, _ORDER)
    transactions = ids_of_transactions(events.column("ledger_sequence"), events.column("transaction_order"))
    return selected(
        events,
        SCHEMA,
        id=ids_of_operations(transactions, events.column("operation_order")),
        stage=or_empty(events.column("stage")),
        in_successful_contract_call=pc.or_(
            events.column("in_successful_contract_call"), pc.invert(events.column("is_diagnostic"))
        ),
        topics=base64_of(events.column("topics")).cast(TEXTS),
        data=base64_of(events.column("data_xdr")),
        event=base64_of(events.column("event_xdr")),
    )


def _rows(unit: LedgerUnit) -> pa.RecordBatch:
    return history_contract_event_rows(unit.decoded["contract_events"])


TABLE = TableSpec(
    name="history_contract_events",
    schema=SCHEMA,
    primary_key=_ORDER,
    stage=CHUNK,
    columns={
        "contract_events": (
            "ledger_sequence",
            "transaction_order",
            "operation_order",
            "stage",
            "event_index",
            "type",
            "is_diagnostic",
            "in_successful_contract_call",
            "contract_id",
            "topics",
            "data_xdr",
            "event_xdr",
        )
    },
    rows=_rows,
    row_group_rows=8192,
)


class ProcessHistoryContractEvents(ProcessTable):
    """Adds ``history_contract_events``."""

    spec = TABLE
