"""The bounded order books of the closed network: from genesis, from a checkpoint, in pieces, into SQL and Parquet."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import closed_network
from aurora_ingest import cli
from aurora_ingest.db.engine import connect, writing
from aurora_ingest.db.gaps import read_gaps
from aurora_ingest.db.history import delete_ledgers
from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.transforms.order_book_levels import SCHEMA
from orderbook.book_history import Rows, shown_rows, state_of_tables, written_rows

_SOURCE = ["--network", "standalone", "--checkpoint-frequency", "8", "--ledgers", str(closed_network.STREAM)]
_ARCHIVE = ["--history-archive-url", str(closed_network.ARCHIVE)]


def _write(first: int, last: int, *more: str) -> int:
    place = [*_SOURCE, *_ARCHIVE, "--from", str(first), "--to", str(last), "--log-level", "warning"]
    return cli.run(["write-order-books", *place, *more])


def _parquet(folder: Path) -> pa.Table:
    files = sorted((folder / "order_book_levels").rglob("*.parquet"))
    return pa.concat_tables([pq.ParquetFile(path).read() for path in files])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, Rows]:
    """Ledgers 2 to 100 from genesis, in chunks of 40, in a folder and in a database."""
    folder = tmp_path_factory.mktemp("books")
    url = f"sqlite:///{folder}/books.db"
    assert cli.run(["db", "migrate", "--db-url", url]) == 0
    targets = ["--parquet", str(folder / "whole"), "--db-url", url, "--chunk-ledgers", "40", "--depth", "4"]
    assert _write(2, 100, *targets) == 0
    engine = connect(url)
    with engine.connect() as connection:
        rows = written_rows(connection)
    engine.dispose()
    return folder, url, rows


def test_database_and_parquet_have_the_same_rows(whole: tuple[Path, str, Rows]) -> None:
    folder, _, rows = whole
    table = _parquet(folder / "whole")
    assert table.schema.remove_metadata() == SCHEMA
    assert shown_rows(table.to_pylist()) == rows
    assert len(rows) > 100
    manifest = json.loads((folder / "whole/manifests/history.json").read_text())
    assert manifest["tables"]["order_book_levels"] == {"ledgers": [[2, 100]], "rows": len(rows), "quarantined": 0}


def test_pieces_from_checkpoints_are_the_whole_from_genesis(whole: tuple[Path, str, Rows]) -> None:
    """Also byte by byte: a partition does not tell how it came to be."""
    folder, _, _ = whole
    for first, last in ((81, 100), (2, 37), (38, 80), (50, 60)):
        assert _write(first, last, "--parquet", str(folder / "pieces"), "--chunk-ledgers", "40", "--depth", "4") == 0
    for path in (folder / "whole/order_book_levels").rglob("*.parquet"):
        other = folder / "pieces" / path.relative_to(folder / "whole")
        assert other.read_bytes() == path.read_bytes(), path.name


def test_gaps_are_found_and_filled(whole: tuple[Path, str, Rows], capsys: pytest.CaptureFixture[str]) -> None:
    _, url, rows = whole
    engine = connect(url)
    with writing(engine) as connection:
        delete_ledgers(connection, ["order_book_levels"], LedgerRange(64, 70))
        delete_ledgers(connection, ["order_book_levels"], LedgerRange(3, 3))
    command = ["fill-gaps", *_SOURCE, *_ARCHIVE, "--db-url", url, "--order-book-depth", "4", "--log-level", "warning"]
    assert cli.run([*command, "--dry-run"]) == 0
    assert "order_book_levels: ledgers 64-70 are missing" in capsys.readouterr().err
    assert cli.run(command) == 0
    assert capsys.readouterr().out.endswith("2 gaps of 8 ledgers filled\n")
    with engine.connect() as connection:
        assert read_gaps(connection) == {}
        assert written_rows(connection) == rows
    engine.dispose()


def test_what_cannot_be_done_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _write(2, 9) == 2
    assert "order books need a target" in capsys.readouterr().err
    assert _write(1, 9, "--parquet", str(tmp_path)) == 2
    assert "ledger 1 has no order books" in capsys.readouterr().err
    place = [*_SOURCE, "--from", "20", "--to", "30", "--parquet", str(tmp_path)]
    assert cli.run(["write-order-books", *place]) == 2
    assert "begin with those of checkpoint 15: which archive?" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_plan_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _write(20, 30, "--parquet", str(tmp_path / "books"), "--dry-run", "--json") == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["start"], plan["ledgers_read"], plan["chunks"]) == (15, "16-30", 1)
    assert any("UpdateOrderBookPerPair" in step for step in plan["steps"])
    assert not (tmp_path / "books").exists()


def test_the_books_of_a_checkpoint_are_those_of_the_state(whole: tuple[Path, str, Rows]) -> None:
    """The newest row of each pair is what stands between its assets in the state of ledger 95."""
    engine = closed_network.state_at(f"sqlite:///{whole[0]}/state.db", 95)
    with engine.connect() as connection:
        state = state_of_tables(connection)
    engine.dispose()
    newest: dict[tuple[str, str], int] = {}
    for ledger, base, counter in whole[2]:
        if ledger <= 95:
            newest[base, counter] = max(newest.get((base, counter), 0), ledger)
    assert state.pairs() <= newest.keys()
    for pair, ledger in newest.items():
        assert whole[2][(ledger, *pair)] == state.levels(pair, 4)
