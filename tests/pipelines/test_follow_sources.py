"""A node whose data lake is behind, is emptied and begins again, or comes back as another chain: it waits, or stops."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
import zstandard

import closed_network
from aurora_ingest.db import cursor
from aurora_ingest.errors import HashMismatchError
from aurora_ingest.ledger_backend.backend import BackendOptions
from aurora_ingest.ledger_backend.detect import open_backend
from aurora_ingest.pipelines.follow import FollowPlan
from aurora_ingest.runners import launch
from aurora_ingest.system import System, SystemOptions
from aurora_ingest.transforms import ledger_feed

_SILENT = "Source has not given the next ledger yet"


class _Lake:
    """A lake of one ledger per file that a test fills and empties."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "lake"
        whole = folder / "whole"
        words = ["write-lake", "--network", "standalone", "--ledgers", str(closed_network.STREAM), "--from", "64"]
        assert closed_network.cli.run([*words, "--to", "100", "--lake", str(whole), "--log-level", "warning"]) == 0
        self._files = {int(file.name.split("--")[1].split(".")[0]): file for file in whole.rglob("*--*.xdr.zst*")}
        self._root = whole
        self.path.mkdir()
        shutil.copy(whole / ".config.json", self.path)

    def give(self, first: int, last: int, data: bytes | None = None) -> None:
        for ledger in range(first, last + 1):
            file = self._files[ledger]
            target = self.path / file.relative_to(self._root)
            target.parent.mkdir(parents=True, exist_ok=True)
            draft = target.with_name(f".{target.name}")
            if data is None:
                shutil.copy(file, draft)
            else:
                number = ledger.to_bytes(4, "big")
                draft.write_bytes(zstandard.ZstdCompressor().compress(number + number + (1).to_bytes(4, "big") + data))
            draft.rename(target)

    def empty(self) -> None:
        for each in self.path.iterdir():
            if each.is_dir():
                shutil.rmtree(each)


class _Node:
    """A node in a thread, with what ended it."""

    def __init__(self, url: str, lake: _Lake) -> None:
        self.stop = threading.Event()
        source = open_backend(str(lake.path), closed_network.NETWORK, options=BackendOptions(poll_interval=0.02))
        plan = FollowPlan(closed_network.NETWORK, source, url, "one", until=100)
        self.system = System(SystemOptions(plan, poll_interval=0.02), launch.choose_engine([]), self.stop)
        self.fault: BaseException | None = None
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            self.system.run()
        except BaseException as error:  # noqa: BLE001 - told by the main thread
            self.fault = error

    def is_at(self, ledger: int) -> bool:
        assert self.fault is None
        return self.system.counts.position == ledger


@pytest.fixture
def lake(tmp_path: Path) -> _Lake:
    return _Lake(tmp_path)


@contextmanager
def _following(tmp_path: Path, lake: _Lake) -> Iterator[tuple[_Node, sa.Engine]]:
    url = f"sqlite:///{tmp_path}/state.db"
    engine = closed_network.state_at(url)
    node = _Node(url, lake)
    node.thread.start()
    try:
        yield node, engine
    finally:
        node.stop.set()
        node.thread.join(60)
        engine.dispose()


def _until(condition: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def _told(caplog: pytest.LogCaptureFixture) -> list[tuple[int, str]]:
    return [(each.__dict__["ledger"], each.__dict__["it_has"]) for each in caplog.records if each.message == _SILENT]


def test_a_lake_that_is_behind_or_begins_again_is_waited_for(
    lake: _Lake, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_feed, "TELL_AFTER", 0.2)
    lake.give(64, 75)
    with _following(tmp_path, lake) as (node, _):
        _until(lambda: node.is_at(75))
        _until(lambda: (76, "ledgers 64-75") in _told(caplog))
        lake.empty()
        lake.give(64, 70)
        _until(lambda: (76, "ledgers 64-70") in _told(caplog))
        # One line for each doubling of the silence, not one for each look; nothing has failed.
        assert len(_told(caplog)) < 12
        assert node.system.counts.failures == 0
        assert node.is_at(75)
        lake.give(71, 100)
        node.thread.join(60)
        assert not node.thread.is_alive()
        assert node.is_at(100)


def test_a_lake_that_comes_back_as_another_chain_stops_the_node(lake: _Lake, tmp_path: Path) -> None:
    lake.give(64, 75)
    with _following(tmp_path, lake) as (node, engine):
        _until(lambda: node.is_at(75))
        lake.empty()
        foreign = bytearray(closed_network.ledgers()[76])
        foreign[4 + 32 + 4 + 5] ^= 1  # in the previous ledger's hash
        lake.give(64, 75)
        lake.give(76, 76, bytes(foreign))
        node.thread.join(60)
        assert not node.thread.is_alive()
        assert isinstance(node.fault, HashMismatchError)
        assert "ledger 76 names" in str(node.fault)
        assert "source and database are of different chains" in str(node.fault)
        with engine.connect() as connection:
            assert cursor.read_last_ledger(connection) == 75
