"""The original's defects in following, behaviour.md §11 and §7.4, one test each; every one fails on its behaviour.

Elsewhere: a node whose place is ahead of the cursor never wrote again (test_follow.py, a cursor that moved back); older
releases wrote on into a newer state (test_follow_starts.py, the older release); upgrades and failed transactions
ledger by ledger against stellar-core's own tables (differential/test_replay_standalone.py).
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest
import sqlalchemy as sa
from stellar_sdk import StrKey, xdr

import closed_network
from aurora_ingest.db import cursor
from aurora_ingest.db.engine import connect, writing
from aurora_ingest.db.lead import Committer, Outcome, PreparedLedger
from aurora_ingest.db.tables import accounts, accounts_signers
from aurora_ingest.errors import BackendError
from aurora_ingest.ledger.change import CHANGES, CREATED, REMOVED, UPDATED
from aurora_ingest.ledger.genesis import root_entry
from aurora_ingest.ledger_backend.backend import BackendOptions, RawLedger
from aurora_ingest.ledger_backend.detect import open_backend
from aurora_ingest.ledger_backend.meta_stream import MetaStream
from aurora_ingest.network import STANDALONE
from aurora_ingest.pipelines.follow import FollowPlan
from aurora_ingest.pipelines.options import BuildStateOptions
from aurora_ingest.runners import launch
from aurora_ingest.system import System, SystemOptions, SystemState
from aurora_ingest.transforms.extract_changes import compacted, ledger_unit
from aurora_ingest.transforms.processors import TABLES, entry_columns
from aurora_ingest.transforms.state_changes import state_change, with_tables
from following.nodes import GrowingSource, until
from kernel.change_batches import change_batch

_FEE, _BEFORE = "fee", "tx_before"


def _system(url: str, source: MetaStream, *, last: int | None = None, stop: threading.Event | None = None) -> System:
    plan = FollowPlan(closed_network.NETWORK, source, url, "one", (), until=last)
    archives = (str(closed_network.ARCHIVE),)
    build = BuildStateOptions(network=closed_network.NETWORK, archive_urls=archives, db_url=url)
    return System(SystemOptions(plan, archives, build, poll_interval=0.05), launch.choose_engine([]), stop)


def _stream(path: Path) -> MetaStream:
    opened = open_backend(str(path), closed_network.NETWORK, options=BackendOptions(poll_interval=0.05))
    assert isinstance(opened, MetaStream)
    return opened


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/state.db"


@pytest.fixture
def engine(url: str) -> Iterator[sa.Engine]:
    opened = closed_network.state_at(url)
    yield opened
    opened.dispose()


def _cursor(engine: sa.Engine) -> int | None:
    with engine.connect() as connection:
        return cursor.read_last_ledger(connection)


class _Failing(MetaStream):
    """A source whose first answers are failures."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), closed_network.NETWORK, BackendOptions(poll_interval=0.05))
        self.asked: list[int] = []

    def follow(self, first: int, stop: Callable[[], bool]) -> Iterator[RawLedger]:
        self.asked.append(first)
        if len(self.asked) <= 2:
            raise BackendError("the source does not answer")
        return super().follow(first, stop)


def test_a_failure_at_the_first_resumed_ledger_does_not_lead_to_ledger_1(url: str, engine: sa.Engine) -> None:
    # §11.1, 1: the original set its place to 0, and followed from ledger 1.
    source = _Failing(closed_network.STREAM)
    system = _system(url, source, last=66)
    system.run()
    assert source.asked == [64, 64, 64]
    assert [ledger for ledger, _ in closed_network.commits(engine)] == [64, 65, 66]


def _signer(kind: xdr.SignerKeyType, **raw: xdr.Uint256) -> xdr.Signer:
    return xdr.Signer(xdr.SignerKey(kind, **raw), xdr.Uint32(1))  # type: ignore[arg-type]


_HASH_X = _signer(xdr.SignerKeyType.SIGNER_KEY_TYPE_HASH_X, hash_x=xdr.Uint256(b"\1" * 32))
_PRE_AUTH = _signer(xdr.SignerKeyType.SIGNER_KEY_TYPE_PRE_AUTH_TX, pre_auth_tx=xdr.Uint256(b"\2" * 32))
_ID = b"\7" * 32
_KEY = bytes(8) + _ID


def _account(*signers: xdr.Signer, balance: int = 100) -> bytes:
    """An account whose master key has no weight."""
    entry = xdr.LedgerEntry.from_xdr_bytes(root_entry(STANDALONE))
    account = entry.data.account
    assert account is not None
    account.account_id = xdr.AccountID.from_xdr_bytes(_KEY[4:])
    account.thresholds = xdr.Thresholds(bytes(4))
    account.balance = xdr.Int64(balance)
    account.signers = list(signers)
    account.num_sub_entries = xdr.Uint32(len(signers))
    return entry.to_xdr_bytes()


def _ledger(
    sequence: int, kind: str, pre: bytes | None, post: bytes | None, phase: str = "operation"
) -> PreparedLedger:
    """A ledger of the chain that does this one thing."""
    batch = change_batch([(kind, _KEY, pre, post)], ledger=sequence)
    place = batch.schema.get_field_index("phase")
    batch = batch.set_column(place, batch.schema.field(place), pa.array([phase], batch.schema.field(place).type))
    unit = compacted(ledger_unit(sequence, {CHANGES: batch}), entry_columns(TABLES), STANDALONE.network_id)
    state = state_change(with_tables(unit, TABLES), TABLES, closed_network.NETWORK)
    return dataclasses.replace(closed_network.prepared()[sequence], state=state, history={}, counts=None)


def _signers(engine: sa.Engine) -> list[str]:
    query = sa.select(accounts_signers.c.signer).where(accounts_signers.c.account_id == _address())
    with engine.connect() as connection:
        return sorted(connection.execute(query).scalars())


def _address() -> str:
    return StrKey.encode_ed25519_public_key(_ID)


def _committer(engine: sa.Engine) -> Committer:
    return Committer(engine, node="one", network_passphrase=closed_network.NETWORK.passphrase)


def test_a_merged_account_leaves_no_signers(engine: sa.Engine) -> None:
    # §11.1, 2: with a master key of no weight the original left the other signers' rows.
    node = _committer(engine)
    both = _account(_HASH_X, _PRE_AUTH)
    assert node.commit([_ledger(64, CREATED, None, both)]).committed == (64,)
    assert len(_signers(engine)) == 2
    assert node.commit([_ledger(65, REMOVED, both, None)]).committed == (65,)
    assert _signers(engine) == []


def test_a_failed_transaction_uses_up_its_pre_authorized_signer(engine: sa.Engine) -> None:
    # §11.1, 3: the original left failed transactions out; their signer goes before any operation is tried.
    node = _committer(engine)
    both, one = _account(_HASH_X, _PRE_AUTH), _account(_HASH_X)
    assert node.commit([_ledger(64, CREATED, None, both)]).committed == (64,)
    assert node.commit([_ledger(65, UPDATED, both, one, _BEFORE)]).committed == (65,)
    (left,) = _signers(engine)
    assert left.startswith("X")


def test_what_an_upgrade_changes_is_written(engine: sa.Engine) -> None:
    # §11.1, 4: the original read transactions only; a raised reserve or a new protocol changes entries beside them.
    node = _committer(engine)
    before, after = _account(balance=100), _account(balance=7)
    assert node.commit([_ledger(64, CREATED, None, before)]).committed == (64,)
    assert node.commit([_ledger(65, UPDATED, before, after, "upgrade")]).committed == (65,)
    with engine.connect() as connection:
        query = sa.select(accounts.c.balance).where(accounts.c.account_id == _address())
        assert connection.execute(query).scalar_one() == 7


def test_a_fee_is_taken_before_any_transaction_is_applied(engine: sa.Engine) -> None:
    # §11.1, 5: all fees of a ledger come first, and a ledger that has only a fee changes the balance.
    node = _committer(engine)
    before, after = _account(balance=100), _account(balance=99)
    assert node.commit([_ledger(64, CREATED, None, before)]).committed == (64,)
    assert node.commit([_ledger(65, UPDATED, before, after, _FEE)]).committed == (65,)
    with engine.connect() as connection:
        query = sa.select(accounts.c.balance).where(accounts.c.account_id == _address())
        assert connection.execute(query).scalar_one() == 99


def test_a_stop_during_the_first_build_stops(url: str) -> None:
    # §11.2: after a shutdown in its first run the original fell through to following from ledger 0.
    assert closed_network.cli.run(["db", "migrate", "--db-url", url]) == 0
    stop = threading.Event()
    system = _system(url, _stream(closed_network.STREAM), stop=stop)
    build = system._build

    def stopped_while_building() -> SystemState:
        stop.set()
        return build()

    system._build = stopped_while_building  # type: ignore[method-assign]
    system.run()
    assert system.counts.transitions[SystemState.RESUME] == 0
    opened = connect(url)
    assert _cursor(opened) == 95
    assert closed_network.commits(opened) == []
    opened.dispose()


def test_a_state_found_wrong_is_built_again_from_its_own_checkpoint(url: str, tmp_path: Path) -> None:
    # A state that was built from the archive's newest checkpoint and has moved on since is no reason to wait for ever.
    assert closed_network.cli.run(["db", "migrate", "--db-url", url]) == 0
    _system(url, _stream(closed_network.STREAM), last=98).run()
    opened = connect(url)
    with writing(opened) as connection:
        connection.execute(sa.update(accounts).values(balance=0))
        cursor.write(connection, cursor.STATE_INVALID, "true")
    stop = threading.Event()
    timer = threading.Timer(60, stop.set)
    timer.start()
    system = _system(url, _stream(closed_network.STREAM), last=100, stop=stop)
    system.run()
    timer.cancel()
    assert (system.counts.transitions[SystemState.BUILD], _cursor(opened)) == (1, 100)
    with opened.connect() as connection:
        assert connection.execute(sa.select(sa.func.max(accounts.c.balance))).scalar_one() > 0
    opened.dispose()


@pytest.fixture
def postgres(postgres_url: str) -> Iterator[sa.Engine]:
    opened = closed_network.state_at(postgres_url)
    yield opened
    opened.dispose()


class _Running:
    """A system in a thread."""

    def __init__(self, url: str, source: MetaStream) -> None:
        self.stop = threading.Event()
        self.system = _system(url, source, stop=self.stop)
        self.faults: list[BaseException] = []
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.system.run()
        except BaseException as error:  # noqa: BLE001 - told by the main thread
            self.faults.append(error)

    def end(self, seconds: float) -> None:
        self.stop.set()
        self.thread.join(seconds)
        assert not self.thread.is_alive()
        assert self.faults == []


def _lock(url: str) -> psycopg.Connection[Any]:
    connection = psycopg.connect(url)
    connection.execute("SELECT 1 FROM key_value_store WHERE key = 'exp_ingest_last_ledger' FOR UPDATE NOWAIT")
    return connection


@pytest.mark.postgres
def test_nobody_waits_for_a_lock_or_with_one(postgres_url: str, postgres: sa.Engine, tmp_path: Path) -> None:
    # §7.4 d: the original took the cursor before it had a ledger and kept it while it waited for stellar-core.
    source = GrowingSource(tmp_path / "ledgers.xdr", closed_network.ledgers(), 63)
    node = _Running(postgres_url, _stream(source.path))
    until(lambda: node.system.counts.position == 63, "the node waits for a ledger")
    for _ in range(50):
        with _lock(postgres_url) as held:
            held.rollback()  # a session that is only closed keeps its lock until the server has noticed
    # §11.2: its own waits for the lock had no end, and it could not be stopped in one.
    with _lock(postgres_url) as held:
        committer = _committer(postgres)
        assert committer.commit([closed_network.prepared()[64]]).outcome is Outcome.REFUSED
        source.give(64)
        node.end(20)
        assert held.execute("SELECT 1").fetchone() == (1,)
    assert _cursor(postgres) == 63


@pytest.mark.postgres
def test_a_broken_transaction_is_not_used_again(postgres_url: str, postgres: sa.Engine, tmp_path: Path) -> None:
    # §11.2: after an error the original went on in the transaction that the server had aborted, until a restart.
    source = GrowingSource(tmp_path / "ledgers.xdr", closed_network.ledgers(), 63)
    node = _Running(postgres_url, _stream(source.path))
    ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
    for ledger in range(64, 68):
        source.give(ledger)
        until(lambda at=ledger: node.system.counts.position == at, f"ledger {ledger}")  # type: ignore[misc]
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute(f"{ended} AND pid <> pg_backend_pid()")
    node.end(20)
    assert [ledger for ledger, _ in closed_network.commits(postgres)] == [64, 65, 66, 67]
