from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from aurora_ingest.ledger.supply import EXCEPTIONS, exception_for, native_sum
from aurora_ingest.ledger.verdicts import COLUMNS, VERDICT_SCHEMA, missing_ledgers, with_outcomes
from aurora_ingest.ledger.verification import (
    DECODED_COLUMNS,
    HAS_SET,
    NATIVE_CHANGE,
    NO_HASH,
    SIGNED,
    Rules,
    judge_checkpoint,
    judge_ledgers,
)
from aurora_ingest.network import PUBNET, TESTNET

RULES = Rules(TESTNET.passphrase, 64)
NUMBERS = {"protocol_version", "total_coins", "fee_pool", "ledger_sequence", "scp_value_type", "tx_set_size"}
COUNTS = {"transaction_count", "unmatched_transactions", "bad_inner_hashes"}


def _hash(number: int, kind: str = "a") -> str:
    return f"{kind}{number:063x}"


def _ledger(sequence: int, **changed: Any) -> dict[str, Any]:
    """A ledger about which nothing is wrong."""
    return {
        "ledger_sequence": sequence,
        "ledger_hash": _hash(sequence),
        "computed_hash": _hash(sequence),
        "previous_ledger_hash": _hash(sequence - 1),
        "protocol_version": 19,
        "total_coins": 1000,
        "fee_pool": 10,
        "bucket_list_hash": _hash(sequence, "b"),
        "tx_set_hash": _hash(sequence, "c"),
        "computed_tx_set_hash": _hash(sequence, "c"),
        "tx_set_kind": "legacy",
        "result_hash": _hash(sequence, "d"),
        "computed_result_hash": _hash(sequence, "d"),
        "scp_value_type": 1,
        "tx_set_size": 2,
        "transaction_count": 2,
        "unmatched_transactions": 0,
        "bad_inner_hashes": 0,
        SIGNED: True,
        HAS_SET: True,
        NATIVE_CHANGE: 0,
    } | changed


def _type(name: str) -> pa.DataType:
    if name in {SIGNED, HAS_SET}:
        return pa.bool_()
    return pa.int64() if name in NUMBERS | COUNTS | {NATIVE_CHANGE} else pa.string()


SCHEMA = pa.schema([(name, _type(name)) for name in (*DECODED_COLUMNS, SIGNED, HAS_SET, NATIVE_CHANGE)])


def _facts(*ledgers: dict[str, Any]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(list(ledgers), SCHEMA)


def _judge(
    *ledgers: dict[str, Any], previous: dict[str, Any] | None = None, rules: Rules = RULES
) -> list[dict[str, Any]]:
    before = None if previous is None else _facts(previous)
    return list(judge_ledgers(_facts(*ledgers), before, rules).to_pylist())


def _one(column: str, *, before: dict[str, Any] | None = None, rules: Rules = RULES, **changed: Any) -> tuple[str, str]:
    """The verdict and the note on ledger 100 with something changed."""
    row = _judge(_ledger(100, **changed), previous=_ledger(99, **(before or {})), rules=rules)[0]
    return row[column], row["note"] or ""


def test_ledgers_about_which_nothing_is_wrong() -> None:
    rows = _judge(*(_ledger(sequence) for sequence in range(62, 66)), previous=_ledger(61))
    for row in rows:
        checkpoint = row["ledger_sequence"] == 63
        expected = dict.fromkeys(COLUMNS, "ok")
        expected |= dict.fromkeys(("bucket_list_hash", "state"), "absent" if checkpoint else "n/a")
        assert {name: row[name] for name in COLUMNS} == expected
        assert row["note"] is None
        assert row["ledger_hash"] == _hash(row["ledger_sequence"])


def test_without_the_ledger_before_what_needs_it_is_absent() -> None:
    row = _judge(_ledger(100))[0]
    assert (row["chain_link"], row["supply"]) == ("absent", "absent")
    assert (row["header_hash"], row["tx_set_hash"]) == ("ok", "ok")


def test_every_ledger_of_a_slice_is_judged_by_the_one_before_it() -> None:
    whole = _judge(*(_ledger(sequence) for sequence in range(10, 20)), previous=_ledger(9))
    parts = [_judge(_ledger(sequence), previous=_ledger(sequence - 1))[0] for sequence in range(10, 20)]
    assert parts == whole


# --- Hashes -----------------------------------------------------------------------------------------------------------
def test_a_header_that_does_not_have_its_hash_is_bad() -> None:
    verdict, note = _one("header_hash", computed_hash=_hash(7))
    assert verdict == "bad"
    assert note == f"header_hash: the header hashes to {_hash(7)}, stated is {_hash(100)}"


@pytest.mark.parametrize("digest,verdict", [(_hash(100), "ok"), (_hash(7), "bad")])
def test_a_trusted_ledger_has_to_have_its_hash(digest: str, verdict: str) -> None:
    assert _one("header_hash", rules=Rules(TESTNET.passphrase, 64, (100, digest)))[0] == verdict
    assert _one("header_hash", rules=Rules(TESTNET.passphrase, 64, (101, digest)))[0] == "ok"


def test_a_ledger_that_names_another_one_before_is_bad() -> None:
    verdict, note = _one("chain_link", previous_ledger_hash=_hash(98))
    assert verdict == "bad"
    assert f"names {_hash(98)} as the ledger before, which is {_hash(99)}" in note


@pytest.mark.parametrize("named,verdict", [(NO_HASH, "ok"), (_hash(0), "bad")])
def test_genesis_names_no_ledger_before(named: str, verdict: str) -> None:
    genesis = _ledger(1, previous_ledger_hash=named, result_hash=NO_HASH, tx_set_hash=NO_HASH, transaction_count=0)
    row = _judge(genesis | {"tx_set_size": 0, SIGNED: None, "scp_value_type": 0})[0]
    assert row["chain_link"] == verdict
    assert (row["tx_set_hash"], row["result_hash"], row["transaction_hashes"]) == ("n/a", "ok", "n/a")
    assert row["scp_signature"] == "absent"


def test_genesis_has_no_results() -> None:
    assert _judge(_ledger(1, previous_ledger_hash=NO_HASH, computed_result_hash=None))[0]["result_hash"] == "absent"


@pytest.mark.parametrize("computed,verdict", [(_hash(100, "d"), "ok"), (_hash(7, "d"), "bad"), (None, "absent")])
def test_results_have_the_hash_of_the_header(computed: str | None, verdict: str) -> None:
    assert _one("result_hash", computed_result_hash=computed)[0] == verdict


# --- Transaction sets -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "protocol,kind,verdict",
    [
        (0, "legacy", "ok"),
        (19, "legacy", "ok"),
        (19, "generalized", "bad"),
        (20, "generalized", "ok"),
        (20, "legacy", "bad"),
        (22, "parallel", "bad"),
        (23, "parallel", "ok"),
        (23, "generalized", "bad"),
        (27, "parallel", "ok"),
    ],
)
def test_the_protocol_of_the_ledger_before_chooses_the_form_of_the_set(protocol: int, kind: str, verdict: str) -> None:
    found, note = _one("tx_set_hash", before={"protocol_version": protocol}, protocol_version=28, tx_set_kind=kind)
    assert found == verdict
    assert (f"a {kind} set after a ledger of protocol {protocol}" in note) == (verdict == "bad")


@pytest.mark.parametrize(
    "changed,verdict",
    [
        ({"computed_tx_set_hash": _hash(7, "c")}, "bad"),
        ({"computed_tx_set_hash": None, "tx_set_kind": "none"}, "absent"),
        ({HAS_SET: False, "computed_tx_set_hash": _hash(7, "c")}, "absent"),
        ({"tx_set_hash": NO_HASH}, "bad"),
        ({"scp_value_type": 2}, "bad"),
        ({"scp_value_type": 2, "tx_set_hash": NO_HASH}, "bad"),
        ({"scp_value_type": 2, "tx_set_hash": NO_HASH, "tx_set_size": 0}, "ok"),
        ({"scp_value_type": 4, "tx_set_hash": NO_HASH, "tx_set_size": 0}, "ok"),
        ({"scp_value_type": 2, "tx_set_size": 0}, "bad"),
    ],
)
def test_a_hash_of_zeros_stands_for_an_emptied_set_and_for_nothing_else(changed: dict[str, Any], verdict: str) -> None:
    assert _one("tx_set_hash", **changed)[0] == verdict


@pytest.mark.parametrize(
    "changed,verdict,told",
    [
        ({"unmatched_transactions": 1}, "bad", "1 of 4 envelopes and results do not meet by hash"),
        ({"bad_inner_hashes": 1}, "bad", "1 inner hashes differ"),
        ({"unmatched_transactions": 4}, "bad", "is the network right?"),
        ({"tx_set_size": 0, "transaction_count": 0}, "n/a", ""),
    ],
)
def test_envelopes_and_results_meet_by_hash(changed: dict[str, Any], verdict: str, told: str) -> None:
    found, note = _one("transaction_hashes", **changed)
    assert found == verdict
    assert told in note


@pytest.mark.parametrize("signed,verdict", [(True, "ok"), (False, "bad"), (None, "absent")])
def test_a_signature_is_right_or_wrong_or_not_there(signed: bool | None, verdict: str) -> None:
    assert _one("scp_signature", **{SIGNED: signed})[0] == verdict


# --- Supply -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "coins,fees,moved,verdict",
    [
        (0, 0, 0, "ok"),
        (0, 5, -5, "ok"),
        (7, 0, 7, "ok"),
        (0, 0, 1, "bad"),
        (1, 0, 0, "bad"),
        (0, 5, 0, "bad"),
        (0, 5, None, "absent"),
    ],
)
def test_what_changes_in_entries_changes_in_coins_and_fee_pool(
    coins: int, fees: int, moved: int | None, verdict: str
) -> None:
    found, note = _one("supply", total_coins=1000 + coins, fee_pool=10 + fees, **{NATIVE_CHANGE: moved})
    assert found == verdict
    if verdict == "bad":
        assert f"{coins - fees - (moved or 0)} are not accounted for" in note


@pytest.mark.parametrize(
    "before,protocol,verdict",
    [
        (7, 7, "known-divergence"),
        (7, 8, "known-divergence"),
        (8, 8, "bad"),
        (22, 22, "bad"),
        (23, 23, "known-divergence"),
        (23, 24, "known-divergence"),
        (24, 24, "bad"),
    ],
)
def test_known_divergences_are_pubnet_s_before_8_and_from_23_until_the_upgrade(
    before: int, protocol: int, verdict: str
) -> None:
    changed = {"protocol_version": protocol, "fee_pool": 31_879_045}
    pubnet = Rules(PUBNET.passphrase, 64)
    found, note = _one("supply", before={"protocol_version": before}, rules=pubnet, **changed)
    assert found == verdict
    assert "-31879035 are not accounted for" in note
    assert _one("supply", before={"protocol_version": before}, **changed)[0] == "bad"


def test_a_checkpoint_holds_all_coins() -> None:
    header = {"bucket_list_hash": _hash(1, "b"), "protocol_version": 22, "total_coins": 1000, "fee_pool": 10}
    judged = judge_checkpoint(header, _hash(1, "b"), 990, PUBNET.passphrase)
    assert judged == {"bucket_list_hash": ("ok", ""), "supply": ("ok", "")}
    assert set(judge_checkpoint(header, _hash(1, "b"), None, PUBNET.passphrase)) == {"bucket_list_hash"}
    verdict, note = judge_checkpoint(header, _hash(1, "b"), 991, PUBNET.passphrase)["supply"]
    assert (verdict, note) == ("bad", "coins 1000, fee pool 10, entries 991: -1 too many")
    for protocol, reason in ((7, "before protocol 8"), (23, "protocol 23")):
        old = header | {"protocol_version": protocol}
        verdict, note = judge_checkpoint(old, _hash(1, "b"), 991, PUBNET.passphrase)["supply"]
        assert verdict == "known-divergence"
        assert reason in note
        assert judge_checkpoint(old, _hash(1, "b"), 991, TESTNET.passphrase)["supply"][0] == "bad"


@pytest.mark.parametrize("found,told", [(_hash(2, "b"), f"hash to {_hash(2, 'b')}"), ("", "have no hot archive")])
def test_buckets_that_are_not_the_header_s_are_told(found: str, told: str) -> None:
    header = {"bucket_list_hash": _hash(1, "b"), "protocol_version": 23, "total_coins": 1, "fee_pool": 0}
    verdict, note = judge_checkpoint(header, found, None, TESTNET.passphrase)["bucket_list_hash"]
    assert verdict == "bad"
    assert told in note


def test_exceptions_are_looked_up_by_network_and_protocol() -> None:
    assert [exception_for(PUBNET.passphrase, protocol) is None for protocol in (0, 7, 8, 22, 23, 24)] == [
        False,
        False,
        True,
        True,
        False,
        True,
    ]
    assert all(each.passphrase == PUBNET.passphrase for each in EXCEPTIONS)


def test_sums_of_stroops_do_not_overflow() -> None:
    assert native_sum(pa.array([2**63 - 1, 2**63 - 1, None], pa.int64())) == 2**64 - 2
    assert native_sum(pa.array([], pa.int64())) == 0


# --- Rows -------------------------------------------------------------------------------------------------------------
def test_ledgers_that_are_not_there_are_bad_and_the_rest_of_them_absent() -> None:
    rows = missing_ledgers(5, 7, "not there")
    assert rows.schema == VERDICT_SCHEMA
    for sequence, row in zip(range(5, 8), rows.to_pylist(), strict=True):
        assert row["ledger_sequence"] == sequence
        assert {row[name] for name in COLUMNS if name != "header_hash"} == {"absent"}
        assert (row["header_hash"], row["note"]) == ("bad", "header_hash: not there")
    rows = missing_ledgers(5, 7, "broken", culprit=6, column="tx_set_hash")
    assert rows.column("tx_set_hash").to_pylist() == ["absent", "bad", "absent"]
    assert set(rows.column("header_hash").to_pylist()) == {"absent"}


def test_outcomes_of_checkpoints_replace_what_was_not_bad() -> None:
    facts = _facts(_ledger(62), _ledger(63, **{NATIVE_CHANGE: 5}), _ledger(64))
    rows = judge_ledgers(facts, _facts(_ledger(61)), RULES)
    outcomes = {63: {"bucket_list_hash": ("ok", ""), "supply": ("ok", ""), "state": ("bad", "one differs")}}
    before, at, after = with_outcomes(rows, outcomes).to_pylist()
    assert (at["bucket_list_hash"], at["supply"], at["state"]) == ("ok", "bad", "bad")
    assert at["note"].startswith("supply: ")
    assert at["note"].endswith("; state: one differs")
    assert [before, after] == [rows.to_pylist()[0], rows.to_pylist()[2]]
    assert with_outcomes(rows, {}) is rows
