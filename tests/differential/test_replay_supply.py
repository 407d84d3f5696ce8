"""Net changes of every ledger at hand: none contradicts another, and the coins they move add up to the header's."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from aurora_ingest import _kernel
from aurora_ingest.ledger.change import CHANGES, COMPACTED_COLUMNS, MAY_LEAVE_UNSEEN
from aurora_ingest.ledger.compaction import compact
from aurora_ingest.ledger.genesis import GENESIS_LEDGER, TOTAL_COINS
from differential.built_state import PUBNET, STANDALONE, TESTNET
from differential.closed_ledgers import CORE_TESTS, LOADTEST, core_test_files, framed, lake

pytestmark = pytest.mark.shared_data

COLUMNS = {"ledgers": ("ledger_sequence", "total_coins", "fee_pool"), CHANGES: COMPACTED_COLUMNS}
PASSPHRASES = {"pubnet": PUBNET, "testnet": TESTNET, "loadtest": LOADTEST}
OWN_NETWORKS = ("standalone-p19", "standalone-p19-accel", "standalone-p19-bulk", "standalone-p23")
LEDGERS_OF_LAKES = 551
LEDGERS_OF_CORES_TESTS = 14_000


def coins(images: pa.Array, network_id: bytes) -> int:
    """Returns the native stroops in entries."""
    held = pa.array(_kernel.native_balances(images, network_id))
    return int(pc.sum(held.cast(pa.decimal128(38, 0))).as_py() or 0)


def proven(name: str, ledgers: Iterable[bytes], passphrase: str) -> int:
    """Asserts that each ledger's net changes move as many coins as its header says; returns how many were compared."""
    network_id = hashlib.sha256(passphrase.encode()).digest()
    kernel = _kernel.LedgerDecoder(network_id=network_id, columns=COLUMNS)
    former, compared = (GENESIS_LEDGER, TOTAL_COINS), 0
    for ledger in ledgers:
        kernel.push(ledger)
        decoded = {table: pa.record_batch(batch) for table, batch in kernel.take().items()}
        (header,) = decoded["ledgers"].to_pylist()
        net = compact(decoded[CHANGES])
        sequence, held = header["ledger_sequence"], header["total_coins"] - header["fee_pool"]
        known = net.filter(net.column("pre_known"))
        unseen = pc.unique(net.filter(pc.invert(net.column("pre_known"))).column("entry_type")).to_pylist()
        assert set(unseen) <= set(MAY_LEAVE_UNSEEN), f"{name} {sequence}"
        if former[0] == sequence - 1:
            moved = coins(known.column("post_xdr"), network_id) - coins(known.column("pre_xdr"), network_id)
            assert moved == held - former[1], f"{name} {sequence}"
            compared += 1
        former = (sequence, held)
    return compared


def test_own_networks_from_genesis(shared_data: Path) -> None:
    for name in OWN_NETWORKS:
        ledgers = framed((shared_data / name / "meta/ledger-close-meta.xdr.zst").read_bytes())
        assert proven(name, ledgers, STANDALONE) == len(ledgers)


def test_lakes_of_public_networks(shared_data: Path) -> None:
    folders = sorted(path for path in (shared_data / "lakes").iterdir() if path.is_dir())
    compared = sum(proven(path.name, lake(path), PASSPHRASES[path.name.split("-")[0]]) for path in folders)
    assert compared == LEDGERS_OF_LAKES


def test_cores_own_tests(shared_data: Path) -> None:
    """Each file is a network of its own, from genesis on, most of them of the newest protocols."""
    compared = sum(proven(name, framed(data, "none"), CORE_TESTS) for name, data in core_test_files(shared_data))
    assert compared > LEDGERS_OF_CORES_TESTS
