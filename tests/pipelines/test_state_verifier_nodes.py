"""Three nodes in processes of their own follow a growing source, and verify what they follow, one at a time."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import psycopg
import pytest

import closed_network
from following.nodes import GrowingSource, commits_of, cursor_of, nodes_in, until

pytestmark = [pytest.mark.postgres, pytest.mark.slow]
_NAMES = ("one", "two", "three")
_LAST = 90


def _flags(url: str, source: GrowingSource, work: Path) -> tuple[str, ...]:
    network = ("--network", "standalone", "--checkpoint-frequency", "8", "--history-archive-url")
    return (
        *(*network, str(closed_network.ARCHIVE), "--ledgers", str(source.path), "--db-url", url),
        *("--poll-interval", "0.05", "--work-dir", str(work), "--until", str(_LAST), "--history-tables", "none"),
    )


def test_nodes_verify_every_checkpoint_once_while_ledgers_go_on(postgres_url: str, tmp_path: Path) -> None:
    closed_network.state_at(postgres_url).dispose()
    source = GrowingSource(tmp_path / "ledgers.xdr", closed_network.ledgers(), closed_network.CHECKPOINT)
    with nodes_in(tmp_path, *_flags(postgres_url, source, tmp_path / "work")) as nodes:
        followers = [nodes.start(name) for name in _NAMES]
        for node in followers:
            until(lambda node=node: "resume" in node.states(), f"{node.name} follows")  # type: ignore[misc]
        with source.paced(closed_network.CHECKPOINT + 1, _LAST, 0.8) as giving:
            until(lambda: cursor_of(postgres_url) == _LAST, "the last ledger")
            giving.join()
        assert [node.exit_code() for node in followers] == [0, 0, 0]
        lines = [line for node in followers for line in node.lines("State verified")]
    with psycopg.connect(postgres_url) as connection:
        query = "SELECT checkpoint, verified_at - seconds, verified_at, outcome, detail FROM ingest_verifications"
        book = connection.execute(f"{query} WHERE outcome <> 'cancelled' ORDER BY verified_at").fetchall()

    assert {(outcome, detail) for *_, outcome, detail in book} == {("sound", "")}
    checkpoints = [checkpoint for checkpoint, *_ in book]
    assert checkpoints
    assert checkpoints == sorted({*checkpoints}), "a checkpoint was compared twice"
    assert {*checkpoints} <= {71, 79, 87}
    assert all(former[2] <= later[1] for former, later in pairwise(book)), "two were at work at once"
    assert sorted(line["checkpoint"] for line in lines) == checkpoints
    assert sorted(commits_of(postgres_url)) == list(range(closed_network.CHECKPOINT + 1, _LAST + 1))
