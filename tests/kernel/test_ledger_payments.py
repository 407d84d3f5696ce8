"""Which operations are payments: Horizon's rule, with the events of asset contracts read by stellar-sdk."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from stellar_sdk import Asset, xdr

from aurora_ingest._kernel import LedgerDecoder
from kernel import ledger_files
from kernel.ledger_files import Source

pytestmark = pytest.mark.shared_data

CONTRACT = 1
INVOKE_HOST_FUNCTION = 24
MOVES = {b"transfer", b"mint", b"clawback", b"burn"}
ORDERS = ["ledger_sequence", "transaction_order", "operation_order"]


@cache
def contract_of(name: bytes, passphrase: str) -> str | None:
    """The id of the contract of the asset that an event names, or None when it names none."""
    if name == b"native":
        return str(Asset.native().contract_id(passphrase))
    code, _, issuer = name.decode("ascii", "replace").partition(":")
    try:
        return str(Asset(code, issuer).contract_id(passphrase))
    except ValueError:
        return None


def moves(event: dict[str, object], topics: list[bytes], passphrase: str) -> bool:
    """Whether an event is one of an asset contract that moves value."""
    if event["type"] != CONTRACT or len(topics) < 3:
        return False
    first, last = xdr.SCVal.from_xdr_bytes(topics[0]), xdr.SCVal.from_xdr_bytes(topics[-1])
    if first.sym is None or first.sym.sc_symbol not in MOVES or last.str is None:
        return False
    return event["contract_id"] is not None and contract_of(last.str.sc_string, passphrase) == event["contract_id"]


def check(source: Source, seen: Counter[str]) -> None:
    """Requires the rule for every invocation of a source."""
    columns = {"operations": [*ORDERS, "type", "transaction_successful", "is_payment"], "contract_events": None}
    decoder = LedgerDecoder(network_id=source.network_id, columns=columns)
    for _, data in source.ledgers:
        decoder.push(data)
    tables = {name: pa.record_batch(batch) for name, batch in decoder.take().items()}
    events = tables["contract_events"].filter(pc.is_valid(tables["contract_events"]["operation_order"]))
    paying = {
        tuple(event[order] for order in ORDERS)
        for event in events.to_pylist()
        if moves(event, event["topics"], source.passphrase)
    }
    for operation in tables["operations"].to_pylist():
        if operation["type"] != INVOKE_HOST_FUNCTION:
            continue
        found = tuple(operation[order] for order in ORDERS) in paying and operation["transaction_successful"]
        assert operation["is_payment"] is (True if found else None), (source.name, operation)
        seen[str(found)] += 1
    only = LedgerDecoder(network_id=source.network_id, columns={"operations": ["is_payment"]})
    for _, data in source.ledgers:
        only.push(data)
    assert pa.record_batch(only.take()["operations"])["is_payment"].equals(tables["operations"]["is_payment"])


def test_invocations_that_move_an_asset_are_payments(shared_data: Path) -> None:
    seen: Counter[str] = Counter()
    for name, framing in (
        ("wallet-backend/ledger-57500008.xdr.gz", "bare"),
        ("wallet-backend/ledger-63092996.xdr.gz", "bare"),
        ("galexie/loadtest/load-test-ledgers-v22.xdr.zstd", "framed"),
    ):
        check(ledger_files.ledger_file(shared_data, name, framing), seen)
    for source in list(ledger_files.core_streams(shared_data))[-2:]:
        check(source._replace(ledgers=source.ledgers[::3]), seen)
    assert min(seen["True"], seen["False"]) > 100
