"""Kernel functions of verification: signatures, hashes and native balances, checked by hashlib and stellar-sdk."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow as pa
import pytest
from stellar_sdk import Asset, StrKey, xdr

from aurora_ingest import _kernel
from aurora_ingest.network import PUBNET, STANDALONE, TESTNET
from differential.archive_files import bucket, headers, live_buckets

ARCHIVES = {
    "standalone-p19": ("standalone-p19/archive", 383, STANDALONE),
    "standalone-p23": ("standalone-p23/archive", 255, STANDALONE),
    "testnet": ("public/stellar-archivist/testnet-archive-1-8063.tar", 8063, TESTNET),
}


def _header_array(path: Path, checkpoint: int) -> pa.Array:
    return pa.array([entry.header.to_xdr_bytes() for entry in headers(path, checkpoint)], pa.binary())


@pytest.mark.shared_data
@pytest.mark.parametrize("name", ARCHIVES)
def test_real_close_values_are_signed_on_their_own_network_only(name: str, shared_data: Path) -> None:
    folder, checkpoint, network = ARCHIVES[name]
    found = _header_array(shared_data / folder, checkpoint)
    assert pa.array(_kernel.close_values_signed(found, network.network_id)).to_pylist() == [True] * len(found)
    assert pa.array(_kernel.close_values_signed(found, PUBNET.network_id)).to_pylist() == [False] * len(found)


@pytest.mark.shared_data
def test_basic_values_have_no_signature(shared_data: Path) -> None:
    path = shared_data / "public/stellar-archivist/pubnet-archive-11999936-12001023.tar"
    signed = pa.array(_kernel.close_values_signed(_header_array(path, 12001023), PUBNET.network_id))
    assert signed.null_count == len(signed) == 64


def test_what_is_no_header_is_refused_by_row() -> None:
    with pytest.raises(ValueError, match="row 1 is not a LedgerHeader"):
        _kernel.close_values_signed(pa.array([None, b"short"], pa.binary()), bytes(32))
    with pytest.raises(TypeError, match="expected an array of binary"):
        _kernel.close_values_signed(pa.array(["text"]), bytes(32))


def test_hashes_are_those_of_hashlib() -> None:
    values = [b"", b"a", None, bytes(1000)]
    expected = [None if value is None else hashlib.sha256(value).digest() for value in values]
    hashes = pa.array(_kernel.sha256_array(pa.array(values, pa.binary())))
    assert hashes.type == pa.binary(32)
    assert hashes.to_pylist() == expected
    assert pa.array(_kernel.sha256_array(pa.array(values, pa.binary()).slice(1, 2))).to_pylist() == expected[1:3]


def _native(entry: xdr.LedgerEntry, contract: bytes) -> int:
    """Reads an entry's native stroops with stellar-sdk."""
    data = entry.data
    if data.account:
        return data.account.balance.int64
    if data.claimable_balance:
        kept = data.claimable_balance
        return kept.amount.int64 if kept.asset.type == xdr.AssetType.ASSET_TYPE_NATIVE else 0
    if data.liquidity_pool:
        pool = data.liquidity_pool.body.constant_product
        assert pool is not None
        sides = ((pool.params.asset_a, pool.reserve_a), (pool.params.asset_b, pool.reserve_b))
        return sum(reserve.int64 for asset, reserve in sides if asset.type == xdr.AssetType.ASSET_TYPE_NATIVE)
    if data.contract_data:
        owner = data.contract_data.contract.contract_id
        key = data.contract_data.key.to_json_dict()
        if owner is None or owner.contract_id.hash != contract or not isinstance(key, dict):
            return 0
        if key.get("vec", [])[:1] != [{"symbol": "Balance"}]:
            return 0
        return int(data.contract_data.val.to_json_dict()["map"][0]["val"]["i128"])
    return 0


@pytest.mark.shared_data
@pytest.mark.parametrize("name", ["standalone-p19", "standalone-p23"])
def test_native_balances_are_those_that_stellar_sdk_reads(name: str, shared_data: Path) -> None:
    folder, checkpoint, network = ARCHIVES[name]
    path = shared_data / folder
    contract = StrKey.decode_contract(Asset.native().contract_id(network.passphrase))
    holders: set[str] = set()
    for bucket_name in live_buckets(path, checkpoint):
        for table, batch in _kernel.read_bucket(bucket(path, bucket_name)).items():
            if table == "dead":
                continue
            entries = pa.record_batch(batch).column("entry_xdr")
            balances = pa.array(_kernel.native_balances(entries, network.network_id)).to_pylist()
            expected = [_native(xdr.LedgerEntry.from_xdr_bytes(entry), contract) for entry in entries.to_pylist()]
            assert balances == expected, table
            if any(balances):
                holders.add(table)
    soroban = {"contract_data"} if name == "standalone-p23" else set()
    assert holders == {"account", "claimable_balance", "liquidity_pool"} | soroban


def test_an_amount_beyond_64_bits_counts_as_the_largest_number() -> None:
    contract = StrKey.decode_contract(Asset.native().contract_id(STANDALONE.passphrase))
    text = xdr.SCVal(xdr.SCValType.SCV_SYMBOL, sym=xdr.SCSymbol(b"Balance"))
    address = xdr.SCAddress(xdr.SCAddressType.SC_ADDRESS_TYPE_CONTRACT, contract_id=xdr.ContractID(xdr.Hash(bytes(32))))
    holder = xdr.SCVal(xdr.SCValType.SCV_ADDRESS, address=address)
    amount = xdr.SCVal(xdr.SCValType.SCV_I128, i128=xdr.Int128Parts(xdr.Int64(1), xdr.Uint64(0)))
    flag = xdr.SCVal(xdr.SCValType.SCV_BOOL, b=True)
    items = [
        xdr.SCMapEntry(xdr.SCVal(xdr.SCValType.SCV_SYMBOL, sym=xdr.SCSymbol(name)), value)
        for name, value in ((b"amount", amount), (b"authorized", flag), (b"clawback", flag))
    ]
    data = xdr.ContractDataEntry(
        ext=xdr.ExtensionPoint(0),
        contract=xdr.SCAddress(
            xdr.SCAddressType.SC_ADDRESS_TYPE_CONTRACT, contract_id=xdr.ContractID(xdr.Hash(contract))
        ),
        key=xdr.SCVal(xdr.SCValType.SCV_VEC, vec=xdr.SCVec([text, holder])),
        durability=xdr.ContractDataDurability.PERSISTENT,
        val=xdr.SCVal(xdr.SCValType.SCV_MAP, map=xdr.SCMap(items)),
    )
    entry = xdr.LedgerEntry(
        xdr.Uint32(7),
        xdr.LedgerEntryData(xdr.LedgerEntryType.CONTRACT_DATA, contract_data=data),
        xdr.LedgerEntryExt(0),
    )
    entries = pa.array([entry.to_xdr_bytes(), None], pa.binary())
    assert pa.array(_kernel.native_balances(entries, STANDALONE.network_id)).to_pylist() == [2**63 - 1, None]
    assert pa.array(_kernel.native_balances(entries, TESTNET.network_id)).to_pylist() == [0, None]
