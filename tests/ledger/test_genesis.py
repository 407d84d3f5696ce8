from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from stellar_sdk import Keypair, xdr

from aurora_ingest import _kernel
from aurora_ingest.ledger.compaction import compact
from aurora_ingest.ledger.genesis import (
    GENESIS_LEDGER,
    TOTAL_COINS,
    genesis_changes,
    genesis_hash,
    genesis_header,
    root_account,
    root_entry,
)
from aurora_ingest.network import PUBNET, STANDALONE, TESTNET, Network
from differential.archive_files import headers

RFC_8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
    ),
]
ROOTS = {
    TESTNET: "GBRPYHIL2CI3FNQ4BXLFMNDLFJUNPU2HY3ZMFSHONUCEOASW7QC7OX2H",
    PUBNET: "GAAZI4TCR3TY5OJHCTJC2A4QSY6CJWJH5IAJTGKIN2ER7LBNVKOCCWN7",
    STANDALONE: "GBZXN7PIRZGNMHGA7MUUUF4GWPY5AYPV6LY4UV2GL6VJGIQRXFDNMADI",
}
ARCHIVES = {
    "testnet": ("public/stellar-archivist/testnet-archive-1-8063.tar", 63, TESTNET),
    "standalone-p19": ("standalone-p19/archive", 63, STANDALONE),
    "standalone-p23": ("standalone-p23/archive", 63, STANDALONE),
}


@pytest.mark.parametrize("seed,key", RFC_8032)
def test_public_keys_are_those_of_the_rfc(seed: str, key: str) -> None:
    assert _kernel.ed25519_public_key(bytes.fromhex(seed)).hex() == key


def test_a_seed_has_32_bytes() -> None:
    with pytest.raises(ValueError, match="got 31"):
        _kernel.ed25519_public_key(bytes(31))


@pytest.mark.parametrize("network", ROOTS, ids=lambda network: network.name)
def test_root_accounts_are_the_known_ones(network: Network) -> None:
    assert Keypair.from_raw_ed25519_public_key(root_account(network)).public_key == ROOTS[network]


def test_the_entry_is_what_core_writes() -> None:
    entry = xdr.LedgerEntry.from_xdr_bytes(root_entry(TESTNET))
    account = entry.data.account
    assert account is not None
    assert entry.last_modified_ledger_seq.uint32 == GENESIS_LEDGER
    assert account.balance.int64 == TOTAL_COINS == 10**18
    assert account.seq_num.sequence_number.int64 == 0
    assert account.thresholds.thresholds == bytes([1, 0, 0, 0])
    assert entry.to_xdr_bytes() == root_entry(TESTNET)
    (row,) = compact(genesis_changes(TESTNET)).to_pylist()
    assert (row["pre_known"], row["pre_xdr"], row["post_xdr"]) == (True, None, root_entry(TESTNET))


def test_hashes_are_the_known_ones() -> None:
    assert genesis_hash(PUBNET) == "39c2a3cd4141b2853e70d84601faa44744660334b48f3228e0309342e3f4eb48"
    assert genesis_hash(TESTNET) == "63d98f536ee68d1b27b5b89f23af5311b7569a24faf1403ad0b52b633b07be99"


@pytest.mark.shared_data
@pytest.mark.parametrize("name", ARCHIVES)
def test_the_header_is_that_of_the_archive_and_its_bucket_list_holds_that_entry_alone(
    name: str, shared_data: Path
) -> None:
    place, checkpoint, network = ARCHIVES[name]
    first = next(headers(shared_data / place, checkpoint))
    assert first.header.to_xdr_bytes() == genesis_header(network)
    assert first.hash.hash.hex() == genesis_hash(network) == hashlib.sha256(genesis_header(network)).hexdigest()
    assert first.header.total_coins.int64 == TOTAL_COINS
    assert first.header.fee_pool.int64 == 0
