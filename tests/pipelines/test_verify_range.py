"""Whole ranges of real ledgers, from every kind of source: each ledger of them passes."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import zstandard

from aurora_ingest.errors import HashMismatchError, NetworkMismatchError, UsageError, VerificationError
from aurora_ingest.history_archive.paths import bucket_path, checkpoint_path
from aurora_ingest.ledger.verdicts import COLUMNS
from aurora_ingest.network import LOAD_TEST, PUBNET, STANDALONE, TESTNET, Network
from aurora_ingest.pipelines.verify_range import require_good
from verification_runs import ACCELERATED, Verified, verify

pytestmark = pytest.mark.shared_data


@pytest.fixture(scope="session")
def archives(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The public archives, unpacked."""
    folder = tmp_path_factory.mktemp("archives")
    for tar in sorted((shared_data / "public/stellar-archivist").glob("*.tar")):
        with tarfile.open(tar) as packed:
            packed.extractall(folder / tar.name.split("-")[0], filter="data")
    return folder


def _counts(verified: Verified) -> dict[str, dict[str, int]]:
    require_good(verified.report)
    assert verified.report["ledgers"] == len(verified.rows)
    assert all(row["note"] is None for row in verified.rows.values())
    return {name: verified.counts(name) for name in COLUMNS}


# --- Archives ---------------------------------------------------------------------------------------------------------
@pytest.mark.slow
def test_testnet_from_genesis_to_8063(archives: Path, tmp_path: Path) -> None:
    verified = verify(tmp_path, 1, 8063, network=TESTNET, archive_urls=(str(archives / "testnet"),))
    counts = _counts(verified)
    assert counts["header_hash"] == counts["chain_link"] == counts["result_hash"] == {"ok": 8063}
    assert counts["tx_set_hash"] == {"n/a": 1, "ok": 8062}
    assert counts["bucket_list_hash"] == {"n/a": 8063 - 126, "ok": 126}
    assert counts["scp_signature"] == {"absent": 1, "ok": 8062}
    assert counts["supply"] == {"absent": 8063 - 126, "ok": 126}
    assert counts["state"] == {"absent": 126, "n/a": 8063 - 126}


@pytest.mark.slow
def test_pubnet_from_11999936_to_12001023(archives: Path, tmp_path: Path) -> None:
    verified = verify(tmp_path, 11999936, 12001023, network=PUBNET, archive_urls=(str(archives / "pubnet"),))
    counts = _counts(verified)
    assert counts["header_hash"] == counts["tx_set_hash"] == counts["result_hash"] == {"ok": 1088}
    assert counts["chain_link"] == {"absent": 1, "ok": 1087}
    assert counts["transaction_hashes"] == {"n/a": 1019, "ok": 69}
    assert counts["bucket_list_hash"] == {"n/a": 1071, "ok": 17}
    assert counts["scp_signature"] == {"absent": 1088}
    assert counts["supply"] == {"absent": 1071, "ok": 17}


def test_the_first_ledgers_of_pubnet(shared_data: Path, tmp_path: Path) -> None:
    """Of September 2015: protocol 1, one bucket, one transaction."""
    source, archive = shared_data / "public/stellarbeat/http", tmp_path / "archive"
    for path in source.iterdir():
        category, _, name = path.name.partition("-")
        if category == "bucket":
            target = bucket_path(name.partition(".")[0])
        elif path.name == "stellar-history.json":
            target = PUBNET.root_path
        else:
            target = checkpoint_path(category, int(name.partition(".")[0], 16))
        (archive / target).parent.mkdir(parents=True, exist_ok=True)
        content = path.read_bytes()
        if target == PUBNET.root_path:  # the copy's newest state is of a later ledger
            content = (source / "history-0000007f.json").read_bytes()
        (archive / target).write_bytes(content)
    counts = _counts(verify(tmp_path, 1, 127, network=PUBNET, archive_urls=(str(archive),)))
    assert counts["header_hash"] == counts["chain_link"] == counts["result_hash"] == {"ok": 127}
    assert counts["tx_set_hash"] == {"n/a": 1, "ok": 126}
    assert counts["transaction_hashes"] == {"n/a": 126, "ok": 1}
    assert counts["bucket_list_hash"] == {"n/a": 125, "ok": 2}
    assert counts["supply"] == {"absent": 125, "ok": 2}


def test_the_wrong_network_is_found_by_the_transactions(archives: Path, tmp_path: Path) -> None:
    """An old archive does not say what network it is of."""
    urls = (str(archives / "pubnet"),)
    right = verify(tmp_path, 11999936, 11999999, network=PUBNET, archive_urls=urls, read_buckets=False)
    wrong = verify(tmp_path, 11999936, 11999999, network=LOAD_TEST, archive_urls=urls, read_buckets=False)
    assert not right.bad
    assert {name for columns in wrong.bad.values() for name in columns} == {"transaction_hashes"}
    assert set(wrong.bad) == {ledger for ledger, row in right.rows.items() if row["transaction_hashes"] == "ok"}
    with pytest.raises(VerificationError, match="is it the right network") as caught:
        require_good(wrong.report)
    assert (caught.value.ledger, caught.value.column) == (min(wrong.bad), "transaction_hashes")


# --- Streams with what the transactions changed -----------------------------------------------------------------------
@pytest.mark.parametrize(
    "folder,stream,network,last",
    [
        ("standalone-p19-accel", "ledger-close-meta", ACCELERATED, 95),
        ("standalone-p19", "ledger-close-meta", STANDALONE, 383),
        ("standalone-p23", "ledger-close-meta", STANDALONE, 255),
        ("standalone-p23", "ledger-close-meta-plain", STANDALONE, 255),
    ],
)
def test_own_networks_with_every_state_rebuilt(
    folder: str, stream: str, network: Network, last: int, shared_data: Path, tmp_path: Path
) -> None:
    verified = verify(
        tmp_path,
        1,
        last,
        network=network,
        archive_urls=(str(shared_data / folder / "archive"),),
        ledgers_url=f"file://{shared_data / folder / 'meta' / stream}.xdr.zst",
    )
    counts = _counts(verified)
    checkpoints = (last + 1) // network.checkpoint_frequency
    assert counts["header_hash"] == counts["chain_link"] == counts["result_hash"] == {"ok": last}
    assert counts["tx_set_hash"] == {"n/a": 1, "ok": last - 1}
    assert counts["scp_signature"] == counts["supply"] == {"absent": 1, "ok": last - 1}
    assert counts["bucket_list_hash"] == counts["state"] == {"n/a": last - checkpoints, "ok": checkpoints}


def test_stellar_core_s_own_database(shared_data: Path, tmp_path: Path) -> None:
    packed = shared_data / "standalone-p19/oracle/stellar-core.sqlite.zst"
    with packed.open("rb") as source, (tmp_path / "core.db").open("wb") as target:
        zstandard.ZstdDecompressor().copy_stream(source, target)
    verified = verify(
        tmp_path,
        2,
        383,
        network=STANDALONE,
        archive_urls=(str(shared_data / "standalone-p19/archive"),),
        ledgers_url=f"core-db+sqlite:///{tmp_path / 'core.db'}",
    )
    counts = _counts(verified)
    assert counts["header_hash"] == counts["tx_set_hash"] == counts["result_hash"] == {"ok": 382}
    assert counts["state"] == {"n/a": 376, "ok": 6}
    assert counts["supply"] == {"absent": 1, "ok": 381}


def test_an_archive_named_as_the_source_of_ledgers_gives_its_states_too(shared_data: Path, tmp_path: Path) -> None:
    url = f"archive+file://{shared_data / 'standalone-p19-accel/archive'}"
    counts = _counts(verify(tmp_path, 1, 15, ledgers_url=url))
    assert counts["bucket_list_hash"] == {"n/a": 13, "ok": 2}
    assert counts["supply"] == {"absent": 13, "ok": 2}


# --- Lakes ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "lake,network,first,last,signed",
    [
        ("testnet-1410048-1410303", TESTNET, 1410048, 1410303, "ok"),
        ("testnet-1410048-1410303-b64", TESTNET, 1410048, 1410303, "ok"),
        ("pubnet-30822015-30822025", PUBNET, 30822015, 30822025, "absent"),
        ("loadtest-10048-10077", LOAD_TEST, 10048, 10077, "ok"),
        ("testnet-997-999", TESTNET, 997, 999, "ok"),
        ("pubnet-60659332", PUBNET, 60659332, 60659332, "ok"),
    ],
)
def test_lakes_without_archive(
    lake: str, network: Network, first: int, last: int, signed: str, shared_data: Path, tmp_path: Path
) -> None:
    url = f"file://{shared_data / 'lakes' / lake}"
    counts = _counts(verify(tmp_path, first, last, network=network, ledgers_url=url))
    ledgers = last - first + 1
    assert counts["header_hash"] == counts["tx_set_hash"] == counts["result_hash"] == {"ok": ledgers}
    assert counts["scp_signature"] == {signed: ledgers}
    following = {"ok": ledgers - 1} if ledgers > 1 else {}
    assert counts["chain_link"] == counts["supply"] == {"absent": 1, **following}
    assert counts["bucket_list_hash"].keys() | counts["state"].keys() <= {"n/a", "absent"}


# --- Ranges -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "first,last", [(1, 1), (2, 2), (1, 2), (63, 63), (63, 64), (64, 64), (62, 66), (1, 64), (2, 65), (40, 95), (57, 71)]
)
def test_edges_of_ranges_and_chunks(first: int, last: int, shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "standalone-p19-accel"
    verified = verify(
        tmp_path,
        first,
        last,
        archive_urls=(str(folder / "archive"),),
        ledgers_url=str(folder / "meta/ledger-close-meta.xdr.zst"),
    )
    require_good(verified.report)
    alone = [ledger for ledger, row in verified.rows.items() if row["chain_link"] == "absent"]
    assert alone == ([] if first == 1 else [first])
    rebuilt = [ledger for ledger, row in verified.rows.items() if row["state"] == "ok"]
    assert rebuilt == [c for c in range(7, last + 1, 8) if max(c - 7, 2) >= first]
    judged = [ledger for ledger, row in verified.rows.items() if row["bucket_list_hash"] == "ok"]
    assert judged == [c for c in range(7, last + 1, 8) if c >= first]


# --- Trusted ledgers --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("trusted", [45, 40, 55, 39, 20, 1, 60, 95])
def test_a_trusted_ledger_proves_or_disproves_the_range(trusted: int, shared_data: Path, tmp_path: Path) -> None:
    urls = (str(shared_data / "standalone-p19-accel/archive"),)
    known = verify(tmp_path, trusted, trusted, archive_urls=urls, read_buckets=False).rows[trusted]["ledger_hash"]
    good = verify(tmp_path, 40, 55, archive_urls=urls, read_buckets=False, trusted_ledger=(trusted, known))
    require_good(good.report)
    assert good.rows[40]["chain_link"] == ("ok" if trusted == 39 else "absent")
    wrong = (trusted, "ab" * 32)
    if 39 < trusted < 56:
        bad = verify(tmp_path, 40, 55, archive_urls=urls, read_buckets=False, trusted_ledger=wrong)
        assert bad.bad == {trusted: ["header_hash"]}
    elif trusted == 39:
        bad = verify(tmp_path, 40, 55, archive_urls=urls, read_buckets=False, trusted_ledger=wrong)
        assert bad.bad == {40: ["chain_link"]}
    else:
        with pytest.raises(HashMismatchError, match=f"ledger {trusted} has hash"):
            verify(tmp_path, 40, 55, archive_urls=urls, read_buckets=False, trusted_ledger=wrong)


def test_a_trusted_ledger_that_nothing_leads_to_is_refused(shared_data: Path, tmp_path: Path) -> None:
    url = str(shared_data / "standalone-p19-accel/meta/ledger-close-meta.xdr.zst")
    with pytest.raises(UsageError, match="trusted ledger 60 is not in 40-55"):
        verify(tmp_path, 40, 55, ledgers_url=url, trusted_ledger=(60, "ab" * 32))


# --- What cannot be started -------------------------------------------------------------------------------------------
def test_nothing_to_verify_by_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="give --history-archive-url or --ledgers"):
        verify(tmp_path, 1, 2)


def test_an_archive_that_says_it_is_of_another_network_is_refused(archives: Path, tmp_path: Path) -> None:
    with pytest.raises(NetworkMismatchError, match="the archive is of network"):
        verify(tmp_path, 1, 63, network=LOAD_TEST, archive_urls=(str(archives / "testnet"),))


# --- Parquet ----------------------------------------------------------------------------------------------------------
def test_the_dataset_holds_every_ledger_once_and_is_the_same_each_time(archives: Path, tmp_path: Path) -> None:
    options = {"network": TESTNET, "archive_urls": (str(archives / "testnet"),), "read_buckets": False}
    dataset = tmp_path / "parquet"
    verified = verify(tmp_path, 900, 2100, parquet_dir=str(dataset), **options)
    table = dataset / "ledger_verdicts"
    names = [f"part-{first:010d}-{last:010d}.parquet" for first, last in ((900, 999), (1000, 1999), (2000, 2100))]
    assert sorted(path.name for path in table.iterdir()) == ["_manifest.json", *names]
    assert pq.read_table(table).to_pylist() == list(verified.rows.values())
    first_run = {path.name: path.read_bytes() for path in table.iterdir()}
    verify(tmp_path, 900, 2100, parquet_dir=str(dataset), **options)
    assert {path.name: path.read_bytes() for path in table.iterdir()} == first_run
    verify(tmp_path, 1990, 1990, parquet_dir=str(dataset), **options)
    assert pq.read_table(table).column("ledger_sequence").to_pylist() == [1990]
    assert [path.name for path in dataset.iterdir()] == ["ledger_verdicts"]
