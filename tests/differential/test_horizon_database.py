"""The whole way, from words on the command line to what PostgreSQL prints, against Horizon's own database."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

import psycopg
import pyarrow.parquet as pq
import pytest
import zstandard

from aurora_ingest.transforms.processors import PROCESSORS, TABLES
from differential.built_state import STANDALONE, built_state
from differential.horizon import CASES, HORIZON_TABLES

pytestmark = [pytest.mark.shared_data, pytest.mark.postgres]

JSONB = {
    "claimable_balances": ("claimants",),
    "liquidity_pools": ("asset_reserves",),
    "exp_asset_stats": ("accounts", "balances"),
    "contract_asset_stats": ("stat",),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", ["testnet-8063", "pubnet-12001023"])
def test_postgresql_prints_the_very_bytes_of_horizons_tables(
    case: str, shared_data: Path, postgres_url: str, tmp_path: Path
) -> None:
    archive, checkpoint, passphrase = CASES[case]
    with tarfile.open(shared_data / "public/stellar-archivist" / archive) as tar:
        tar.extractall(tmp_path / "archive", filter="data")
    source = ["--history-archive-url", f"file://{tmp_path}/archive", "--checkpoint", str(checkpoint)]
    words = ["build-state", "--network", case.split("-", maxsplit=1)[0], *source, "--db-url", postgres_url]
    run([*words, "--parquet", str(tmp_path / "parquet"), "--work-dir", str(tmp_path / "work")], postgres_url)

    with psycopg.connect(postgres_url) as connection:
        for table in HORIZON_TABLES:
            lines = zstandard_text(shared_data / "oracle/horizon-state" / case / f"{table}.csv.zst").splitlines()
            query = f"COPY (SELECT {lines[0]} FROM {table}) TO STDOUT CSV"
            with connection.cursor().copy(query) as copy:  # type: ignore[arg-type]  # names of our own oracle
                printed = b"".join(copy).decode().splitlines()
            assert sorted(printed) == sorted(lines[1:]), table

    whole = built_state(shared_data / "public/stellar-archivist" / archive, checkpoint, passphrase)
    for process in PROCESSORS:
        table = process.spec.name
        if table in TABLES:
            parquet = pq.read_table(tmp_path / "parquet" / table, partitioning=None).select(process.spec.schema.names)
            key = [(name, "ascending") for name in process.spec.primary_key]
            assert parquet.sort_by(key).to_pylist() == whole[table].sort_by(key).to_pylist(), table


def run(words: list[str], postgres_url: str) -> None:
    for command in (["db", "migrate", "--db-url", postgres_url], words):
        done = subprocess.run(
            [sys.executable, "-m", "aurora_ingest", *command], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def zstandard_text(path: Path) -> str:
    with path.open("rb") as file:
        return zstandard.ZstdDecompressor().stream_reader(file).read().decode()


@pytest.mark.parametrize("network,checkpoint", [("standalone-p19", 383), ("standalone-p23", 255)])
def test_json_texts_are_as_postgresql_prints_them(
    network: str, checkpoint: int, shared_data: Path, postgres_url: str
) -> None:
    built = built_state(shared_data / network / "archive", checkpoint, STANDALONE)
    texts = [text for table, names in JSONB.items() for name in names for text in built[table].column(name).to_pylist()]
    assert len(texts) > 50
    with psycopg.connect(postgres_url) as connection:
        printed = connection.execute("SELECT value::jsonb::text FROM unnest(%s::text[]) AS value", [texts]).fetchall()
    assert [text for (text,) in printed] == texts
