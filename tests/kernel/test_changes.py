from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from stellar_sdk import xdr

from aurora_ingest import _kernel
from aurora_ingest.ledger.change import CREATED, EVICTED, REMOVED, RESTORED, TTL
from kernel.change_batches import change_batch, setting_key

CREATE_AND_REMOVE = (
    "AAAAAwAAAAAAAAPoAAAAAgAAAADYrksRwml4T/Fl3cttR0FgDBRjsLTwrqB57UyrnGJkfAAAAAAAAAAVAAAAAVVTRAAAAAAANu7XumU4v5XjKhpREG14"
    "KziM9ukoPMTUDX6+/M/GP+gAAAAAAAAAAAAAAfQAAAABAAAAAgAAAAAAAAAAAAAAAAAAAAMAAAPoAAAAAgAAAADYrksRwml4T/Fl3cttR0FgDBRjsLTw"
    "rqB57UyrnGJkfAAAAAAAAAAVAAAAAVVTRAAAAAAANu7XumU4v5XjKhpREG14KziM9ukoPMTUDX6+/M/GP+gAAAAAAAAAAAAAAfQAAAABAAAAAgAAAAAA"
    "AAAAAAAAAAAAAAIAAAACAAAAANiuSxHCaXhP8WXdy21HQWAMFGOwtPCuoHntTKucYmR8AAAAAAAAABU="
)


def entries_of_change_vector() -> list[bytes]:
    changes = xdr.LedgerEntryChanges.from_xdr(CREATE_AND_REMOVE).ledger_entry_changes
    return [entry.to_xdr_bytes() for change in changes if (entry := change.created or change.state) is not None]


def test_an_offer_that_came_and_went_is_nothing() -> None:
    created, state = entries_of_change_vector()
    key = _kernel.ledger_key_of(created)
    batch = change_batch([(CREATED, key, None, created), (REMOVED, key, state, None)])
    assert _kernel.compact_changes(batch).num_rows == 0


def test_entries_become_rows_of_their_types() -> None:
    created, _ = entries_of_change_vector()
    tables = _kernel.entry_rows(pa.array([None, created, None, created], pa.binary()))
    assert list(tables) == list(_kernel.ENTRY_TYPES)
    offers = pa.record_batch(tables["offer"])
    assert offers.column("offer_id").to_pylist() == [21, 21]
    assert offers.column("entry_xdr").to_pylist() == [created, created]
    assert [tables[name].num_rows for name in _kernel.ENTRY_TYPES if name != "offer"] == [0] * 9
    some = _kernel.entry_rows(pa.array([created], pa.binary()), columns={"offer": ["offer_id"], "account": None})
    assert pa.record_batch(some["offer"]).schema.names == ["offer_id"]
    assert set(some) == {"offer", "account"}


def test_rows_are_those_of_a_bucket(shared_data: Path) -> None:
    bucket = max(
        (shared_data / "standalone-p19-accel/archive/bucket").rglob("*.gz"), key=lambda path: path.stat().st_size
    )
    from_bucket = _kernel.read_bucket(bucket.read_bytes())
    for table in _kernel.ENTRY_TYPES:
        expected = pa.record_batch(from_bucket[table])
        made = pa.record_batch(_kernel.entry_rows(expected.column("entry_xdr"))[table])
        columns = [name for name in expected.schema.names if name != "bucket_entry_type"]
        assert made.select(columns) == expected.select(columns)


def test_what_is_no_entry_is_refused_by_its_place() -> None:
    created, _ = entries_of_change_vector()
    for damaged in (created[:-1], created + bytes(4), b""):
        with pytest.raises(_kernel.XdrError) as caught:
            _kernel.entry_rows(pa.array([created, None, damaged], pa.binary()))
        assert caught.value.record_index == 2
    with pytest.raises(TypeError, match="array of binary"):
        _kernel.entry_rows(pa.array(["text"]))


def test_a_ttl_has_the_hash_that_it_names() -> None:
    named = bytes(range(32))
    net = pa.record_batch(_kernel.compact_changes(change_batch([(EVICTED, bytes([0, 0, 0, TTL]) + named, None, None)])))
    assert net.column("key_hash").to_pylist() == [named]


def test_damaged_keys_and_other_columns_are_refused() -> None:
    batch = change_batch([(RESTORED, setting_key(1)[:-1], None, b"a")])
    with pytest.raises(_kernel.XdrError):
        _kernel.compact_changes(batch)
    with pytest.raises(ValueError, match="no column pre_xdr"):
        _kernel.compact_changes(batch.drop_columns(["pre_xdr"]))
