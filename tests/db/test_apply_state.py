"""Ledgers applied to small states: rows that leave, sums that grow, transactions that fail, several ledgers at once."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
import sqlalchemy as sa
from stellar_sdk import xdr

from aurora_ingest import _kernel
from aurora_ingest.db.apply_state import apply_state, stage_states
from aurora_ingest.db.engine import writing
from aurora_ingest.db.state_change import AppliedRows, StateChange
from aurora_ingest.db.tables import STATE_TABLES
from aurora_ingest.errors import RowRejectedError, StateError
from aurora_ingest.ledger.change import CHANGES, CREATED, REMOVED, UPDATED
from aurora_ingest.ledger.genesis import root_entry
from aurora_ingest.network import STANDALONE
from aurora_ingest.transforms.extract_changes import compacted, ledger_unit
from aurora_ingest.transforms.processors import TABLES, entry_columns
from aurora_ingest.transforms.state_changes import state_change, with_tables
from kernel.change_batches import change_batch
from soroban_entries import ISSUER, USD

I64_MAX = 2**63 - 1
Change = tuple[str, bytes, bytes | None, bytes | None]
NOBODY = {
    "authorized": 0,
    "unauthorized": 0,
    "liquidity_pools": 0,
    "claimable_balances": 0,
    "authorized_to_maintain_liabilities": 0,
}


def changed(ledger: int, *changes: tuple[str, bytes | None, bytes | None]) -> StateChange:
    rows: list[Change] = [(kind, _kernel.ledger_key_of(post or pre or b""), pre, post) for kind, pre, post in changes]
    unit = ledger_unit(ledger, {CHANGES: change_batch(rows, ledger=ledger)})
    unit = compacted(unit, entry_columns(TABLES), STANDALONE.network_id)
    return state_change(with_tables(unit, TABLES), TABLES, STANDALONE)


def trust_line(owner: int, balance: int, *, flags: int = 1, ledger: int = 5) -> bytes:
    line = xdr.TrustLineEntry(
        account_id=xdr.AccountID(
            xdr.PublicKey(
                xdr.PublicKeyType.PUBLIC_KEY_TYPE_ED25519, xdr.Uint256(hashlib.sha256(b"%d" % owner).digest())
            )
        ),
        asset=USD.to_trust_line_asset_xdr_object(),
        balance=xdr.Int64(balance),
        limit=xdr.Int64(I64_MAX),
        flags=xdr.Uint32(flags),
        ext=xdr.TrustLineEntryExt(0),
    )
    data = xdr.LedgerEntryData(xdr.LedgerEntryType.TRUSTLINE, trust_line=line)
    return xdr.LedgerEntry(xdr.Uint32(ledger), data, xdr.LedgerEntryExt(0)).to_xdr_bytes()


def account(**fields: Any) -> bytes:
    entry = xdr.LedgerEntry.from_xdr_bytes(root_entry(STANDALONE))
    assert entry.data.account is not None
    for name, value in fields.items():
        setattr(entry.data.account, name, value)
    return entry.to_xdr_bytes()


def apply(engine: sa.Engine, *changes: StateChange) -> list[dict[str, AppliedRows]]:
    with writing(engine) as connection:
        staged = stage_states(connection, changes)
        return [dict(apply_state(connection, each)) for each in staged]


def count(engine: sa.Engine, table: str) -> int:
    with engine.connect() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(STATE_TABLES[table])).scalar_one())


def usd(engine: sa.Engine) -> tuple[dict[str, int], dict[str, int]] | None:
    table = STATE_TABLES["exp_asset_stats"]
    with engine.connect() as connection:
        row = connection.execute(sa.select(table).where(table.c.asset_issuer == ISSUER)).one_or_none()
    if row is None:
        return None
    accounts, balances = (
        value if isinstance(value, dict) else json.loads(value) for value in (row.accounts, row.balances)
    )
    assert all(isinstance(number, str) for number in balances.values())
    return accounts, {kind: int(number) for kind, number in balances.items()}


def test_sums_go_beyond_64_bits_and_an_asset_without_holders_leaves(engine: sa.Engine) -> None:
    lines = [trust_line(owner, I64_MAX) for owner in range(3)]
    apply(engine, changed(5, *((CREATED, None, line) for line in lines)))
    assert usd(engine) == (NOBODY | {"authorized": 3}, NOBODY | {"authorized": 3 * I64_MAX})
    poorer = trust_line(0, 7, flags=2, ledger=6)
    apply(engine, changed(6, (UPDATED, lines[0], poorer), (REMOVED, lines[1], None)))
    holders = {"authorized": 1, "authorized_to_maintain_liabilities": 1}
    assert usd(engine) == (NOBODY | holders, NOBODY | {"authorized": I64_MAX, "authorized_to_maintain_liabilities": 7})
    (applied,) = apply(engine, changed(7, (REMOVED, poorer, None), (REMOVED, lines[2], None)))
    assert usd(engine) is None
    assert applied["exp_asset_stats"] == AppliedRows(0, 1)
    assert applied["trust_lines"] == AppliedRows(0, 2)


def test_a_change_that_no_sum_notices_leaves_the_statistics(engine: sa.Engine) -> None:
    line = trust_line(0, 7)
    apply(engine, changed(5, (CREATED, None, line)))
    (applied,) = apply(engine, changed(6, (UPDATED, line, trust_line(0, 7, ledger=6))))
    assert "exp_asset_stats" not in applied
    assert usd(engine) == (NOBODY | {"authorized": 1}, NOBODY | {"authorized": 7})


def test_more_holders_leaving_than_there_were_are_refused(engine: sa.Engine) -> None:
    line = trust_line(0, 7)
    apply(engine, changed(5, (CREATED, None, line)))
    with pytest.raises(StateError, match=f"fewer than no holders of asset USD:{ISSUER}"):
        apply(engine, changed(6, (REMOVED, line, None), (REMOVED, trust_line(1, 7), None)))
    assert count(engine, "trust_lines") == 1


def test_ledgers_staged_together_are_applied_one_by_one(engine: sa.Engine) -> None:
    line, richer = trust_line(0, 7), trust_line(0, 8, ledger=6)
    first, second, third = apply(
        engine,
        changed(5, (CREATED, None, line)),
        changed(6, (UPDATED, line, richer)),
        changed(7, (REMOVED, richer, None)),
    )
    assert (first["trust_lines"], second["trust_lines"]) == (AppliedRows(1, 0), AppliedRows(1, 0))
    assert third["trust_lines"] == AppliedRows(0, 1)
    assert count(engine, "trust_lines") == 0
    assert usd(engine) is None


def test_a_transaction_that_fails_leaves_nothing_behind(engine: sa.Engine) -> None:
    line = trust_line(0, 7)
    with engine.connect() as connection, connection.begin() as transaction:
        apply_state(connection, *stage_states(connection, [changed(5, (CREATED, None, line))]))
        transaction.rollback()
    assert count(engine, "trust_lines") == 0
    assert usd(engine) is None
    apply(engine, changed(5, (CREATED, None, line)))
    assert count(engine, "trust_lines") == 1


@pytest.mark.postgres
def test_a_value_that_no_column_holds_is_refused_before_the_lock(postgres: sa.Engine) -> None:
    entry = account(num_sub_entries=xdr.Uint32(2**32 - 1))
    with (
        pytest.raises(RowRejectedError, match=r"table accounts, ledger 5: .*num_subentries"),
        writing(postgres) as lost,
    ):
        stage_states(lost, [changed(5, (CREATED, None, entry))])
    assert count(postgres, "accounts") == 0


@pytest.mark.postgres
def test_what_is_sent_is_gone_with_the_transaction(postgres: sa.Engine) -> None:
    with writing(postgres) as connection:
        stage_states(connection, [changed(5, (CREATED, None, account()))])
        assert connection.exec_driver_sql("SELECT count(*) FROM live_accounts").scalar_one() == 1
    with postgres.connect() as connection:
        names = sa.text("SELECT relname FROM pg_class WHERE relname LIKE 'live%' AND relpersistence = 't'")
        for name in connection.execute(names).scalars().all():
            assert connection.exec_driver_sql(f'SELECT count(*) FROM "{name}"').scalar_one() == 0
