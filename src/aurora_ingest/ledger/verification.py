"""The rules by which a ledger is judged, as pure functions on Arrow columns: one verdict per ledger and rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from aurora_ingest.ledger import supply
from aurora_ingest.ledger.verdicts import (
    ABSENT,
    BAD,
    COLUMNS,
    KNOWN_DIVERGENCE,
    NOT_APPLICABLE,
    OK,
    VERDICT_SCHEMA,
)

DECODED_COLUMNS: Final = (
    "ledger_sequence",
    "ledger_hash",
    "computed_hash",
    "previous_ledger_hash",
    "protocol_version",
    "total_coins",
    "fee_pool",
    "bucket_list_hash",
    "tx_set_hash",
    "computed_tx_set_hash",
    "tx_set_kind",
    "result_hash",
    "computed_result_hash",
    "scp_value_type",
    "tx_set_size",
    "transaction_count",
    "unmatched_transactions",
    "bad_inner_hashes",
)
"""Columns of the kernel's table of ledgers on which the rules work."""

SIGNED: Final = "close_value_signed"
HAS_SET: Final = "has_set"
NATIVE_CHANGE: Final = "native_change"

NO_HASH: Final = "0" * 64
GENESIS: Final = 1
_GENERALIZED_FROM: Final = 20
_PARALLEL_FROM: Final = 23
_EMPTY_TX_SET_VALUES: Final = (2, 4)
"""StellarValueType of values whose set was emptied (CAP-83)."""


@dataclass(frozen=True)
class Rules:
    """What the rules need to know beside the ledgers.

    Attributes:
        passphrase: of the network, whose known exceptions hold.
        checkpoint_frequency: ledgers per checkpoint.
        trusted: sequence and hex hash of a ledger that is known to be right, or None.
    """

    passphrase: str
    checkpoint_frequency: int
    trusted: tuple[int, str] | None = None


def judge_ledgers(facts: pa.RecordBatch, previous: pa.RecordBatch | None, rules: Rules) -> pa.RecordBatch:
    """Judge consecutive ledgers by everything but the states of checkpoints.

    Args:
        facts: one row per ledger, ascending without a hole: `DECODED_COLUMNS`, then ``close_value_signed`` bool?
            (null: no signature), ``has_set`` bool (the source held the transaction set itself) and
            ``native_change`` int64? (net change of native stroops in all entries; null: not known).
        previous: the row of the ledger before the first, or None if it is not known.
        rules: the network and its settings.

    Returns:
        `VERDICT_SCHEMA`, a row per ledger. ``bucket_list_hash`` and ``state`` are ``n/a`` where the ledger is no
        checkpoint, else ``absent``: see `verdicts.with_outcomes`.
    """
    rows = _Rows(facts, previous, rules)
    verdicts: dict[str, pa.Array] = {name: rule(rows) for name, (rule, _) in _RULES.items()}
    checkpoint = pc.equal(rows.modulo(1, rules.checkpoint_frequency), 0)
    for name in ("bucket_list_hash", "state"):
        verdicts[name] = pc.if_else(checkpoint, ABSENT, NOT_APPLICABLE)
    notes = _notes(rows, verdicts)
    columns = [facts.column("ledger_sequence"), facts.column("ledger_hash"), *(verdicts[name] for name in COLUMNS)]
    return pa.record_batch([*columns, notes], schema=VERDICT_SCHEMA)


def judge_checkpoint(
    header: Mapping[str, Any], bucket_list_hash: str, native: int | None, passphrase: str
) -> dict[str, tuple[str, str]]:
    """Judge a checkpoint's ledger by the state that the archive has of it.

    Args:
        header: of the ledger: ``bucket_list_hash``, ``protocol_version``, ``total_coins``, ``fee_pool``.
        bucket_list_hash: of the archive's state in the form of that protocol, hex; empty if the state has no such form.
        native: native stroops of all its entries, those of the hot archive included; None if they were not read.
        passphrase: of the network, whose known exceptions hold.

    Returns:
        By column, ``bucket_list_hash`` and maybe ``supply``: verdict and note.
    """
    stated = header["bucket_list_hash"]
    found: dict[str, tuple[str, str]] = {"bucket_list_hash": (OK, "")}
    if bucket_list_hash != stated:
        has = f"hash to {bucket_list_hash}" if bucket_list_hash else "have no hot archive, which this protocol has"
        found["bucket_list_hash"] = (BAD, f"the archive's buckets {has}; the header states {stated}")
    if native is not None:
        difference = header["total_coins"] - header["fee_pool"] - native
        note = f"coins {header['total_coins']}, fee pool {header['fee_pool']}, entries {native}: {difference} too many"
        exempt = supply.exception_for(passphrase, header["protocol_version"])
        if difference == 0:
            found["supply"] = (OK, "")
        else:
            found["supply"] = (BAD, note) if exempt is None else (KNOWN_DIVERGENCE, f"{note}; {exempt.reason}")
    return found


class _Rows:
    """Columns of the ledgers, and of each ledger's predecessor."""

    def __init__(self, facts: pa.RecordBatch, previous: pa.RecordBatch | None, rules: Rules) -> None:
        self.facts = facts
        self.previous = previous
        self.rules = rules
        self.genesis = pc.equal(facts.column("ledger_sequence"), GENESIS)

    def __getitem__(self, name: str) -> pa.Array:
        return self.facts.column(name)

    def before(self, name: str) -> pa.Array:
        """A column of the ledgers before; null where the one before is not known."""
        column = self.facts.column(name)
        first = pa.nulls(1, column.type) if self.previous is None else self.previous.column(name)
        return pa.concat_arrays([first, column.slice(0, len(column) - 1)])

    def modulo(self, add: int, frequency: int) -> pa.Array:
        """Ledger sequence plus ``add``, modulo ``frequency``."""
        return pa.array((self.facts.column("ledger_sequence").to_numpy() + add) % frequency)

    def values(self, row: int) -> dict[str, Any]:
        """The values of one row, those of the ledger before with ``before_`` in front."""
        names = self.facts.schema.names
        here = {name: self.facts.column(name)[row].as_py() for name in names}
        return here | {f"before_{name}": self.before(name)[row].as_py() for name in names}


def _case(*cases: tuple[pa.Array, str], otherwise: str) -> pa.Array:
    """The verdict of the first case that holds; a condition that is null does not hold."""
    conditions = pc.make_struct(*(pc.fill_null(condition, False) for condition, _ in cases))
    return pc.case_when(conditions, *(pa.scalar(verdict) for _, verdict in cases), pa.scalar(otherwise))


def _header_hash(rows: _Rows) -> pa.Array:
    wrong = pc.not_equal(rows["ledger_hash"], rows["computed_hash"])
    trusted = rows.rules.trusted
    if trusted is None:
        return _case((wrong, BAD), otherwise=OK)
    is_trusted = pc.equal(rows["ledger_sequence"], trusted[0])
    distrusted = pc.and_(is_trusted, pc.not_equal(rows["ledger_hash"], trusted[1]))
    return _case((wrong, BAD), (distrusted, BAD), otherwise=OK)


def _chain_link(rows: _Rows) -> pa.Array:
    named, before = rows["previous_ledger_hash"], rows.before("ledger_hash")
    return _case(
        (pc.and_(rows.genesis, pc.equal(named, NO_HASH)), OK),
        (rows.genesis, BAD),
        (pc.is_null(before), ABSENT),
        (pc.equal(named, before), OK),
        otherwise=BAD,
    )


def _tx_set_hash(rows: _Rows) -> pa.Array:
    protocol, kind, stated = rows.before("protocol_version"), rows["tx_set_kind"], rows["tx_set_hash"]
    no_hash = pc.equal(stated, NO_HASH)
    emptied = pc.is_in(rows["scp_value_type"], pa.array(_EMPTY_TX_SET_VALUES, rows["scp_value_type"].type))
    form = _case(
        (pc.greater_equal(protocol, _PARALLEL_FROM), "parallel"),
        (pc.greater_equal(protocol, _GENERALIZED_FROM), "generalized"),
        otherwise="legacy",
    )
    wrong_form = pc.and_(pc.is_valid(protocol), pc.not_equal(kind, form))
    no_set = pc.or_(pc.is_null(rows["computed_tx_set_hash"]), pc.invert(rows[HAS_SET]))
    return _case(
        (rows.genesis, NOT_APPLICABLE),
        (pc.and_(emptied, pc.and_(no_hash, pc.equal(rows["tx_set_size"], 0))), OK),
        (pc.or_(emptied, no_hash), BAD),
        (no_set, ABSENT),
        (pc.not_equal(rows["computed_tx_set_hash"], stated), BAD),
        (wrong_form, BAD),
        otherwise=OK,
    )


def _result_hash(rows: _Rows) -> pa.Array:
    stated, computed = rows["result_hash"], rows["computed_result_hash"]
    return _case(
        (pc.and_(rows.genesis, pc.equal(stated, NO_HASH)), OK),
        (pc.is_null(computed), ABSENT),
        (pc.equal(stated, computed), OK),
        otherwise=BAD,
    )


def _transaction_hashes(rows: _Rows) -> pa.Array:
    wrong = pc.greater(pc.add(rows["unmatched_transactions"], rows["bad_inner_hashes"]), 0)
    return _case(
        (wrong, BAD),
        (pc.equal(pc.add(rows["transaction_count"], rows["tx_set_size"]), 0), NOT_APPLICABLE),
        otherwise=OK,
    )


def _scp_signature(rows: _Rows) -> pa.Array:
    return _case((pc.is_null(rows[SIGNED]), ABSENT), (rows[SIGNED], OK), otherwise=BAD)


def _supply(rows: _Rows) -> pa.Array:
    difference = _supply_difference(rows)
    known = supply.is_exempt(rows.rules.passphrase, rows.before("protocol_version"), rows["protocol_version"])
    return _case(
        (pc.is_null(difference), ABSENT),
        (pc.equal(difference, 0), OK),
        (known, KNOWN_DIVERGENCE),
        otherwise=BAD,
    )


def _supply_difference(rows: _Rows) -> pa.Array:
    return supply.unaccounted_change(
        (rows.before("total_coins"), rows["total_coins"]),
        (rows.before("fee_pool"), rows["fee_pool"]),
        rows[NATIVE_CHANGE],
    )


def _header_note(row: dict[str, Any]) -> str:
    if row["ledger_hash"] != row["computed_hash"]:
        return f"the header hashes to {row['computed_hash']}, stated is {row['ledger_hash']}"
    return f"the hash is {row['ledger_hash']}, which is not the trusted one"


def _chain_note(row: dict[str, Any]) -> str:
    before = row["before_ledger_hash"] if row["ledger_sequence"] > GENESIS else NO_HASH
    return f"names {row['previous_ledger_hash']} as the ledger before, which is {before}"


def _set_note(row: dict[str, Any]) -> str:
    if row["scp_value_type"] in _EMPTY_TX_SET_VALUES or row["tx_set_hash"] == NO_HASH:
        return "a hash of zeros and an emptied set do not come together"
    if row["computed_tx_set_hash"] == row["tx_set_hash"]:
        return f"a {row['tx_set_kind']} set after a ledger of protocol {row['before_protocol_version']}"
    return f"the {row['tx_set_kind']} set hashes to {row['computed_tx_set_hash']}, stated is {row['tx_set_hash']}"


def _result_note(row: dict[str, Any]) -> str:
    return f"the results hash to {row['computed_result_hash']}, stated is {row['result_hash']}"


def _transactions_note(row: dict[str, Any]) -> str:
    unmatched, both = row["unmatched_transactions"], row["transaction_count"] + row["tx_set_size"]
    hint = "; none meets: is the network right?" if unmatched == both else ""
    return (
        f"{unmatched} of {both} envelopes and results do not meet by hash, "
        f"{row['bad_inner_hashes']} inner hashes differ{hint}"
    )


def _signature_note(_row: dict[str, Any]) -> str:
    return "the node that it names did not sign this set and close time on this network"


def _supply_note(row: dict[str, Any]) -> str:
    coins, fees = (row[name] - row[f"before_{name}"] for name in ("total_coins", "fee_pool"))
    return (
        f"coins changed by {coins} stroops, fee pool and entries by {fees + row[NATIVE_CHANGE]}: "
        f"{coins - fees - row[NATIVE_CHANGE]} are not accounted for"
    )


_RULES: Final[dict[str, tuple[Callable[[_Rows], pa.Array], Callable[[dict[str, Any]], str]]]] = {
    "header_hash": (_header_hash, _header_note),
    "chain_link": (_chain_link, _chain_note),
    "tx_set_hash": (_tx_set_hash, _set_note),
    "result_hash": (_result_hash, _result_note),
    "transaction_hashes": (_transaction_hashes, _transactions_note),
    "scp_signature": (_scp_signature, _signature_note),
    "supply": (_supply, _supply_note),
}


def _notes(rows: _Rows, verdicts: Mapping[str, pa.Array]) -> pa.Array:
    """The words beside what is not as it should be: few rows, so row by row."""
    noted = np.zeros(rows.facts.num_rows, dtype=bool)
    for name in _RULES:
        noted |= pc.is_in(verdicts[name], pa.array([BAD, KNOWN_DIVERGENCE])).to_numpy(zero_copy_only=False)
    notes: list[str | None] = [None] * len(noted)
    for row in np.flatnonzero(noted):
        values = rows.values(int(row))
        told = [
            f"{name}: {note(values)}"
            for name, (_, note) in _RULES.items()
            if verdicts[name][int(row)].as_py() in {BAD, KNOWN_DIVERGENCE}
        ]
        notes[row] = "; ".join(told)
    return pa.array(notes, pa.string())
