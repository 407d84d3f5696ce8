"""Our own networks, ledger by ledger: from genesis and from every checkpoint, against archives and core's tables."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pytest

from aurora_ingest.db.tables import STATE_TABLES
from aurora_ingest.network import STANDALONE
from differential.built_state import STANDALONE as PASSPHRASE
from differential.built_state import built_state
from differential.comparison import assert_same_rows
from differential.core_sql import core_entries
from differential.networks import P19
from differential.plain_rows import our_rows
from differential.plain_rows import state_rows as rows_of_core
from differential.replay import (
    NOT_IN_META,
    ReplayedState,
    assert_same_states,
    built_rows,
    replayed,
    state_changes,
    state_rows,
)

pytestmark = pytest.mark.shared_data

META = "meta/ledger-close-meta.xdr.zst"
CHECKPOINTS = {
    "standalone-p19": (63, 127, 191, 255, 319, 383),
    "standalone-p19-accel": tuple(range(7, 96, 8)),
    "standalone-p19-bulk": (63, 127),
    "standalone-p23": (63, 127, 191, 255),
}
STARTS = [(network, start) for network, checkpoints in CHECKPOINTS.items() for start in (0, *checkpoints[:-1])]
CLASSIC = {
    "accounts": ("account_id",),
    "accounts_signers": ("signer", "account_id"),
    "accounts_data": ("ledger_key",),
    "trust_lines": ("ledger_key",),
    "offers": ("offer_id",),
    "claimable_balances": ("id",),
    "claimable_balance_claimants": ("destination", "id"),
    "liquidity_pools": ("id",),
}


def begun(state: ReplayedState, archive: Path, start: int) -> ReplayedState:
    """Returns the state built at a checkpoint; 0 leaves it empty, for genesis."""
    return state.load(start, built_state(archive, start, PASSPHRASE)) if start else state


@pytest.mark.parametrize("network,start", STARTS)
def test_state_and_ledgers_are_the_state_at_every_later_checkpoint(network: str, start: int, shared_data: Path) -> None:
    archive = shared_data / network / "archive"
    changes = state_changes(shared_data / network / META, STANDALONE)
    ends = [checkpoint for checkpoint in CHECKPOINTS[network] if checkpoint > start]
    with replayed() as state:
        begun(state, archive, start)
        for former, end in pairwise([start, *ends]):
            state.apply((changes[ledger] for ledger in range(former + 1, end + 1)), together=64)
            place = f"{network} {start} to {end}"
            assert_same_states(place, state_rows(state), built_rows(archive, end, PASSPHRASE))


def test_metas_without_extras_make_the_same_state(shared_data: Path) -> None:
    """A core that backfills no events and no restores wrote the same ledgers once more."""
    folder = shared_data / "standalone-p23"
    changes = state_changes(folder / "meta/ledger-close-meta-plain.xdr.zst", STANDALONE)
    with replayed() as state:
        for former, end in pairwise([0, *CHECKPOINTS["standalone-p23"]]):
            state.apply((changes[ledger] for ledger in range(former + 1, end + 1)), together=64)
            expected = built_rows(folder / "archive", end, PASSPHRASE)
            assert_same_states(f"plain metas to {end}", state_rows(state), expected)


def test_settings_that_no_meta_carries_keep_their_checkpoint(shared_data: Path) -> None:
    """Ledger 82 changes settings by an upgrade; two others change in every ledger, and nothing tells."""
    folder = shared_data / "standalone-p23"
    changes = state_changes(folder / META, STANDALONE)
    with replayed() as state:
        begun(state, folder / "archive", 63)
        state.apply((changes[ledger] for ledger in range(64, 128)), together=64)
        read = state.checkpoints_of_settings()
    assert {read[name] for name in NOT_IN_META} == {63}
    assert set(read.values()) == {63, 82}


@pytest.mark.parametrize("network", ["standalone-p19", "standalone-p19-accel", "standalone-p19-bulk"])
def test_replayed_state_is_that_of_cores_own_tables(network: str, shared_data: Path) -> None:
    changes = state_changes(shared_data / network / META, STANDALONE)
    checkpoints = [checkpoint for name, checkpoint in P19 if name == network]
    with replayed() as state:
        for former, checkpoint in pairwise([0, *checkpoints]):
            state.apply((changes[ledger] for ledger in range(former + 1, checkpoint + 1)), together=64)
            entries = core_entries(shared_data / network / f"oracle/sql/{checkpoint:08d}")
            expected = rows_of_core(entries, PASSPHRASE, checkpoint)
            for table, key in CLASSIC.items():
                names = [column.name for column in STATE_TABLES[table].columns]
                columns = zip(*state.rows(table), strict=True) if state.rows(table) else [()] * len(names)
                ours = our_rows(table, pa.Table.from_arrays([pa.array(column) for column in columns], names=names))
                assert_same_rows(f"{network} {checkpoint} {table}", ours, expected.get(table, []), key)


@pytest.mark.postgres
@pytest.mark.parametrize(
    "network,start,end,together",
    [("standalone-p19-accel", 0, 95, 8), ("standalone-p19", 319, 383, 1), ("standalone-p23", 63, 191, 64)],
)
def test_postgresql_comes_to_the_same_state(
    network: str, start: int, end: int, together: int, shared_data: Path, postgres_url: str
) -> None:
    archive = shared_data / network / "archive"
    changes = state_changes(shared_data / network / META, STANDALONE)
    with replayed(postgres_url) as state:
        begun(state, archive, start)
        state.apply((changes[ledger] for ledger in range(start + 1, end + 1)), together=together)
        ours = state_rows(state)
        state.clear()
        state.load(end, built_state(archive, end, PASSPHRASE))
        assert_same_states(f"{network} {start} to {end}", ours, state_rows(state))
