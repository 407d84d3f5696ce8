"""Values of the history tables that are not taken over as they are."""

from __future__ import annotations

import base64
import datetime as dt
from typing import Any

import pyarrow as pa
import pytest

from aurora_ingest.db.cursor import CURRENT_VERSION
from aurora_ingest.errors import StateError
from aurora_ingest.ledger.toid import Toid
from aurora_ingest.transforms.processors.history_contract_events import history_contract_event_rows
from aurora_ingest.transforms.processors.history_ledgers import TABLE as LEDGERS
from aurora_ingest.transforms.processors.history_ledgers import history_ledger_rows
from aurora_ingest.transforms.processors.history_operations import history_operation_rows
from aurora_ingest.transforms.processors.history_transactions import history_transaction_rows
from aurora_ingest.transforms.processors.ledger_entry_changes import ledger_entry_change_rows
from aurora_ingest.transforms.processors.processor import processed
from history_batches import chunk_with, decoded


def transaction(**columns: Any) -> dict[str, Any]:
    (row,) = history_transaction_rows(decoded("transactions", columns)).to_pylist()
    return dict(row)


def test_a_ledger_counts_its_successful_transactions() -> None:
    row = {
        "ledger_sequence": 2**31 - 1,
        "close_time": 1_781_828_531,
        "successful_transaction_count": 131,
        "failed_transaction_count": 119,
        "operation_count": 421,
        "tx_set_operation_count": 689,
        "base_fee": 2**32 - 1,
        "header_base64": "AAAA",
    }
    (made,) = history_ledger_rows(decoded("ledgers", row)).to_pylist()
    assert (made["transaction_count"], made["successful_transaction_count"]) == (131, 131)
    assert (made["failed_transaction_count"], made["operation_count"], made["tx_set_operation_count"]) == (
        119,
        421,
        689,
    )
    times = {made[name] for name in ("closed_at", "created_at", "updated_at")}
    assert times == {dt.datetime.fromisoformat("2026-06-19T00:22:11")}
    assert (made["sequence"], made["ledger_header"], made["importer_version"]) == (2**31 - 1, "AAAA", CURRENT_VERSION)
    assert made["base_fee"] == 2**32 - 1


def test_the_first_ledger_has_no_predecessor() -> None:
    rows = [{"ledger_sequence": sequence, "previous_ledger_hash": "00"} for sequence in (1, 2)]
    made = history_ledger_rows(decoded("ledgers", *rows))
    assert made.column("previous_ledger_hash").to_pylist() == [None, "00"]


def test_ids_are_total_order_ids() -> None:
    (ledger,) = history_ledger_rows(decoded("ledgers", {"ledger_sequence": 63_092_996})).to_pylist()
    assert ledger["id"] == int(Toid(63_092_996)) == 270982354426658816
    event = {"ledger_sequence": 63_092_996, "transaction_order": 7}
    of_transaction, of_operation = history_contract_event_rows(
        decoded("contract_events", event, event | {"operation_order": 3})
    ).to_pylist()
    assert of_transaction["id"] == int(Toid(63_092_996, 7))
    assert of_operation["id"] == int(Toid(63_092_996, 7, 3))
    assert (of_transaction["operation_order"], of_transaction["stage"]) == (0, "")
    fee, operation, upgrade = ledger_entry_change_rows(
        decoded(
            "changes",
            {"ledger_sequence": 9, "transaction_order": 1},
            {"ledger_sequence": 9, "transaction_order": 1, "operation_order": 2},
            {"ledger_sequence": 9, "upgrade_index": 0},
        )
    ).to_pylist()
    assert (fee["transaction_id"], fee["operation_id"]) == (int(Toid(9, 1)), None)
    assert (operation["transaction_id"], operation["operation_id"]) == (int(Toid(9, 1)), int(Toid(9, 1, 2)))
    assert (upgrade["transaction_id"], upgrade["operation_id"], upgrade["upgrade_index"]) == (None, None, 0)


def test_a_time_beyond_the_calendar_is_named() -> None:
    unit = chunk_with({"ledgers": decoded("ledgers", {"close_time": 2**63 - 1})})
    with pytest.raises(StateError, match="table history_ledgers: chunk 3 at ledger 100: overflow"):
        processed(unit, LEDGERS)


@pytest.mark.parametrize(
    "lower,upper,expected",
    [
        (None, None, None),
        (0, None, (0, None)),
        (0, 1_781_828_555, (0, 1_781_828_555)),
        (7, 7, (7, 7)),
        (2**64 - 1, 2**63, (2**63 - 1, 2**63 - 1)),
    ],
)
def test_bounds_are_ranges_whose_end_may_be_open(
    lower: int | None, upper: int | None, expected: tuple[int, int | None] | None
) -> None:
    made = transaction(time_bounds_lower=lower, time_bounds_upper=upper)["time_bounds"]
    assert made == (None if expected is None else {"lower": expected[0], "upper": expected[1]})


def test_preconditions_of_the_second_kind_have_zeros_and_no_signers() -> None:
    plain = transaction()
    names = ("ledger_bounds", "min_account_sequence", "min_account_sequence_age", "min_account_sequence_ledger_gap")
    assert [plain[name] for name in (*names, "extra_signers")] == [None] * 5
    zeros = {"min_account_sequence_age": 0, "min_account_sequence_ledger_gap": 0}
    made = transaction(ledger_bounds_lower=0, ledger_bounds_upper=63_092_997, extra_signers=[], **zeros)
    assert made["ledger_bounds"] == {"lower": 0, "upper": 63_092_997}
    assert (made["min_account_sequence_age"], made["min_account_sequence_ledger_gap"]) == ("0", 0)
    assert made["extra_signers"] is None
    most = transaction(min_account_sequence_age=2**64 - 1, extra_signers=["G", "P"])
    assert most["min_account_sequence_age"] == "18446744073709551615"
    assert most["extra_signers"] == ["G", "P"]


def test_a_memo_keeps_the_bytes_that_it_cannot_show() -> None:
    rows = history_transaction_rows(
        decoded(
            "transactions",
            {"memo_type": "none"},
            {"memo_type": "text", "memo": "é", "memo_bytes": "é".encode()},
            {"memo_type": "text", "memo": "a\ufffd", "memo_bytes": b"a\xff"},
            {"memo_type": "text", "memo": "", "memo_bytes": b""},
            {"memo_type": "id", "memo": "7"},
        )
    )
    assert rows.column("memo_bytes").to_pylist() == [None, None, b"a\xff", None, None]


def test_ledgers_without_metas_have_empty_texts() -> None:
    made = transaction(signatures=[], inner_signatures=None)
    assert (made["tx_meta"], made["tx_fee_meta"]) == ("", "")
    assert (made["signatures"], made["inner_signatures"]) == ([], None)


def test_operations_keep_their_body_and_have_no_details_yet() -> None:
    row = {"id": int(Toid(5, 2, 1)), "transaction_id": int(Toid(5, 2)), "operation_order": 1, "body_base64": "AAAA"}
    (made,) = history_operation_rows(decoded("operations", row | {"is_payment": True})).to_pylist()
    assert (made["application_order"], made["body"], made["details"], made["is_payment"]) == (1, "AAAA", None, True)


def test_events_are_base64() -> None:
    row: dict[str, Any] = {"topics": [b"a", b""], "data_xdr": b"\xff\xfe", "event_xdr": b"xyz"}
    rows: list[dict[str, Any]] = [row, {"topics": []}]
    made = history_contract_event_rows(decoded("contract_events", *rows)).to_pylist()
    assert [row["topics"] for row in made] == [[base64.b64encode(b"a").decode(), ""], []]
    assert (made[0]["data"], made[0]["event"]) == ("//4=", "eHl6")


def test_events_stand_in_the_order_of_their_key() -> None:
    place = [(1, 2, False), (1, None, True), (1, None, False), (1, 1, False), (0, 1, False)]
    names = ("transaction_order", "operation_order", "is_diagnostic")
    rows = [dict(zip(names, values, strict=True)) for values in place]
    made = history_contract_event_rows(decoded("contract_events", *rows)).select(list(names)).to_pylist()
    in_order = [(0, 1, False), (1, 0, False), (1, 1, False), (1, 2, False), (1, 0, True)]
    assert [tuple(row.values()) for row in made] == in_order


def test_only_diagnostic_events_come_from_failed_calls() -> None:
    flags = [(False, False), (False, True), (True, False), (True, True)]
    rows = [{"is_diagnostic": is_diagnostic, "in_successful_contract_call": call} for is_diagnostic, call in flags]
    made = history_contract_event_rows(decoded("contract_events", *rows))
    assert made.column("in_successful_contract_call").to_pylist() == [True, True, False, True]


def test_a_change_keeps_images_as_they_are() -> None:
    batch = decoded("changes", {"pre_xdr": b"\0", "post_xdr": None, "ledger_key": b"k", "key_hash": b"h" * 32})
    made = ledger_entry_change_rows(batch)
    assert made.column("pre").buffers()[2].address == batch.column("pre_xdr").buffers()[2].address
    assert made.select(["pre", "post", "ledger_key"]).to_pylist() == [{"pre": b"\0", "post": None, "ledger_key": b"k"}]
    assert made.schema.field("key_hash").type == pa.binary(32)
