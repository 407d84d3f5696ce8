"""Which contract data are asset contracts and their balances: proven by hash, against forgeries and against Horizon."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import zstandard
from stellar_sdk import Address, Asset, Keypair, StrKey, scval, xdr

from aurora_ingest import _kernel
from kernel.framing import bucket_of
from kernel.sdk_rows import contract_id_of_asset

NETWORK_ID = hashlib.sha256(b"Test SDF Network ; September 2015").digest()
ISSUER = Keypair.from_raw_ed25519_seed(bytes(32)).public_key
HOLDER = bytes(range(32))
COLUMNS = (
    "asset_contract_kind",
    "asset_type",
    "asset_code",
    "asset_issuer",
    "balance_holder",
    "balance_amount",
    "balance_authorized",
    "balance_clawback",
)
NOTHING: dict[str, Any] = dict.fromkeys(COLUMNS)
INT128_MAX = 2**127 - 1
EXECUTABLE = xdr.ContractExecutableType.CONTRACT_EXECUTABLE_STELLAR_ASSET


def found_in(entry: xdr.ContractDataEntry, network_id: bytes | None = NETWORK_ID) -> dict[str, Any]:
    """Returns what the kernel says of one entry."""
    data = xdr.LedgerEntryData(xdr.LedgerEntryType.CONTRACT_DATA, contract_data=entry)
    raw = xdr.LedgerEntry(xdr.Uint32(1), data, xdr.LedgerEntryExt(0)).to_xdr_bytes()
    batches = _kernel.read_bucket(
        bucket_of([raw]), compression="none", columns={"contract_data": COLUMNS}, network_id=network_id
    )
    (row,) = pa.record_batch(batches["contract_data"]).to_pylist()
    return {
        name: int(value) if name == "balance_amount" and value is not None else value for name, value in row.items()
    }


def data_of(contract: bytes, key: xdr.SCVal, value: xdr.SCVal, durability: str = "PERSISTENT") -> xdr.ContractDataEntry:
    address = Address(StrKey.encode_contract(contract)).to_xdr_sc_address()
    return xdr.ContractDataEntry(xdr.ExtensionPoint(0), address, key, xdr.ContractDataDurability[durability], value)


def asset_info(symbol: str, code: bytes, issuer: bytes) -> xdr.SCVal:
    fields = {scval.to_symbol("asset_code"): scval.to_string(code), scval.to_symbol("issuer"): scval.to_bytes(issuer)}
    entries = [xdr.SCMapEntry(key, value) for key, value in fields.items()]
    return scval.to_vec([scval.to_symbol(symbol), xdr.SCVal(xdr.SCValType.SCV_MAP, map=xdr.SCMap(entries))])


def instance_of(contract: bytes, info: xdr.SCVal | None, executable: xdr.ContractExecutable) -> xdr.ContractDataEntry:
    entries = [xdr.SCMapEntry(scval.to_symbol("METADATA"), scval.to_vec([scval.to_uint32(7)]))]
    if info is not None:
        entries.append(xdr.SCMapEntry(scval.to_vec([scval.to_symbol("AssetInfo")]), info))
    storage = xdr.SCMap(entries)
    value = xdr.SCVal(xdr.SCValType.SCV_CONTRACT_INSTANCE, instance=xdr.SCContractInstance(executable, storage))
    return data_of(contract, xdr.SCVal(xdr.SCValType.SCV_LEDGER_KEY_CONTRACT_INSTANCE), value)


def balance_of(contract: bytes, holder: str, held: int, **changed: Any) -> xdr.ContractDataEntry:
    key = scval.to_vec([scval.to_symbol("Balance"), scval.to_address(holder)])
    fields = {
        "amount": scval.to_int128(held),
        "authorized": scval.to_bool(data=True),
        "clawback": scval.to_bool(data=False),
        **changed,
    }
    entries = [xdr.SCMapEntry(scval.to_symbol(name), value) for name, value in fields.items()]
    return data_of(contract, key, xdr.SCVal(xdr.SCValType.SCV_MAP, map=xdr.SCMap(entries)))


@pytest.mark.parametrize("code, symbol", [("USD", "AlphaNum4"), ("EURT", "AlphaNum4"), ("LONGER", "AlphaNum12")])
@pytest.mark.parametrize("filled_up", [True, False])
def test_the_instance_of_an_asset_is_proven_by_its_contract_id(code: str, symbol: str, filled_up: bool) -> None:
    asset = Asset(code, ISSUER).to_xdr_object()
    raw_code = code.encode().ljust(4 if symbol == "AlphaNum4" else 12, b"\0") if filled_up else code.encode()
    info = asset_info(symbol, raw_code, StrKey.decode_ed25519_public_key(ISSUER))
    contract = contract_id_of_asset(asset, NETWORK_ID)
    kind = {"asset_contract_kind": 1, "asset_type": asset.type.value, "asset_code": code, "asset_issuer": ISSUER}
    assert found_in(instance_of(contract, info, xdr.ContractExecutable(EXECUTABLE))) == NOTHING | kind
    assert found_in(instance_of(contract, info, xdr.ContractExecutable(EXECUTABLE)), None) == NOTHING
    assert found_in(instance_of(contract, info, xdr.ContractExecutable(EXECUTABLE)), bytes(32)) == NOTHING
    assert found_in(instance_of(HOLDER, info, xdr.ContractExecutable(EXECUTABLE))) == NOTHING
    wasm = xdr.ContractExecutable(xdr.ContractExecutableType.CONTRACT_EXECUTABLE_WASM, wasm_hash=xdr.Hash(HOLDER))
    assert found_in(instance_of(contract, info, wasm)) == NOTHING
    assert found_in(instance_of(contract, None, xdr.ContractExecutable(EXECUTABLE))) == NOTHING


def test_odd_asset_infos_are_no_assets() -> None:
    issuer = StrKey.decode_ed25519_public_key(ISSUER)
    contract = contract_id_of_asset(Asset("USD", ISSUER).to_xdr_object(), NETWORK_ID)
    for info in (
        asset_info("AlphaNum5", b"USD", issuer),
        asset_info("AlphaNum12", b"USD", issuer),
        asset_info("AlphaNum4", b"USD\0\0", issuer),
        asset_info("AlphaNum12", b"X" * 13, issuer),
        asset_info("AlphaNum4", b"USD", issuer[:31]),
        asset_info("AlphaNum4", b"USD", issuer + b"\0"),
        scval.to_vec([scval.to_symbol("Native")]),
        scval.to_vec([]),
        scval.to_void(),
    ):
        assert found_in(instance_of(contract, info, xdr.ContractExecutable(EXECUTABLE))) == NOTHING


def test_the_native_contract_is_left_out() -> None:
    native = contract_id_of_asset(Asset.native().to_xdr_object(), NETWORK_ID)
    info = scval.to_vec([scval.to_symbol("Native")])
    assert found_in(instance_of(native, info, xdr.ContractExecutable(EXECUTABLE))) == NOTHING
    assert found_in(balance_of(native, StrKey.encode_contract(HOLDER), 5)) == NOTHING


@pytest.mark.parametrize("amount", [0, 1, 2**64, INT128_MAX])
def test_balances_are_exact(amount: int) -> None:
    holder = StrKey.encode_contract(HOLDER)
    expected = {
        "asset_contract_kind": 2,
        "balance_holder": holder,
        "balance_amount": amount,
        "balance_authorized": True,
        "balance_clawback": False,
    }
    assert found_in(balance_of(bytes(32), holder, amount)) == NOTHING | expected


def test_what_only_looks_like_a_balance_is_none() -> None:
    holder = StrKey.encode_contract(HOLDER)
    sound = balance_of(bytes(32), holder, 7)
    temporary = data_of(bytes(32), sound.key, sound.val, "TEMPORARY")
    other_key = data_of(bytes(32), scval.to_vec([scval.to_symbol("Balances"), scval.to_address(holder)]), sound.val)
    longer_key = data_of(bytes(32), scval.to_vec([*scval.from_vec(sound.key), scval.to_void()]), sound.val)
    shorter = data_of(bytes(32), sound.key, scval.to_map({scval.to_symbol("amount"): scval.to_int128(7)}))
    assert found_in(sound) != NOTHING
    for entry in (
        temporary,
        other_key,
        longer_key,
        shorter,
        data_of(bytes(32), sound.key, xdr.SCVal(xdr.SCValType.SCV_MAP)),
        data_of(bytes(32), xdr.SCVal(xdr.SCValType.SCV_VEC), sound.val),
        balance_of(bytes(32), ISSUER, 7),
        balance_of(bytes(32), holder, -1),
        balance_of(bytes(32), holder, 7, amount=scval.to_int64(7)),
        balance_of(bytes(32), holder, 7, authorized=scval.to_uint32(1)),
        balance_of(bytes(32), holder, 7, clawback=scval.to_void()),
        balance_of(bytes(32), holder, 7, more=scval.to_void()),
    ):
        assert found_in(entry) == NOTHING


def oracle(folder: Path, table: str) -> Iterator[dict[str, str]]:
    packed = (folder / f"{table}.csv.zst").read_bytes()
    text = zstandard.ZstdDecompressor().stream_reader(packed).read().decode()
    yield from csv.DictReader(io.StringIO(text))


def state_of(archive: Path, checkpoint: int, columns: dict[str, list[str]]) -> dict[str, pa.Table]:
    """Merges the buckets of a checkpoint of a tar archive."""
    with tarfile.open(archive) as tar:
        members = {Path(member.name).name: member for member in tar}

        def content(name: str) -> bytes:
            packed = tar.extractfile(members[name])
            assert packed is not None
            return packed.read()

        levels = json.loads(content(f"history-{checkpoint:08x}.json"))["currentBuckets"]
        hashes = [level[part] for level in levels for part in ("curr", "snap") if set(level[part]) != {"0"}]
        buckets = [content(f"bucket-{name}.xdr.gz") for name in hashes]
    sources = [_kernel.BucketSource(name, "gzip", bytes.fromhex(name)) for name in hashes]
    merger = _kernel.BucketMerger(sources, columns=columns, network_id=NETWORK_ID)
    batches: dict[str, list[pa.RecordBatch]] = {table: [] for table in columns}
    fed: set[int] = set()
    while (step := merger.advance()) is not None:
        if isinstance(step, int):
            if step in fed:
                merger.end(step)
            else:
                merger.feed(step, buckets[step])
                fed.add(step)
            continue
        for table, batch in step.batches:
            batches[table].append(pa.record_batch(batch))
    return {table: pa.Table.from_batches(parts) for table, parts in batches.items()}


@pytest.mark.shared_data
@pytest.mark.parametrize("checkpoint", [4095, 8063])
def test_asset_contracts_and_their_balances_are_those_of_horizon(shared_data: Path, checkpoint: int) -> None:
    columns = {
        "contract_data": ["key_hash", "contract_id", *COLUMNS],
        "ttl": ["key_hash", "live_until_ledger"],
        "claimable_balance": ["balance_id", "claimants_json", "asset_base64", "amount", "flags", "sponsor"],
    }
    state = state_of(shared_data / "public/stellar-archivist/testnet-archive-1-8063.tar", checkpoint, columns)
    live_until = dict(zip(*(column.to_pylist() for column in state["ttl"].columns), strict=True))
    contracts, balances = set(), set()
    for row in state["contract_data"].to_pylist():
        until = live_until[row["key_hash"]] if row["asset_contract_kind"] else 0
        if until < checkpoint:
            continue
        head = (f"\\x{row['key_hash'].hex()}", f"\\x{row['contract_id'].hex()}")
        if row["asset_contract_kind"] == 1:
            contracts.add((*head, str(row["asset_type"]), row["asset_code"], row["asset_issuer"], str(until)))
        else:
            balances.add((*head, str(row["balance_amount"]), str(until)))
    folder = shared_data / f"oracle/horizon-state/testnet-{checkpoint}"
    assert contracts == {tuple(row.values()) for row in oracle(folder, "asset_contracts")}
    assert balances == {tuple(row.values()) for row in oracle(folder, "contract_asset_balances")}
    claimable = {tuple(map(str, row.values())) for row in state["claimable_balance"].to_pylist()}
    wanted = ("sponsor", "id", "claimants", "asset", "amount", "flags")
    assert claimable == {tuple(row[name] for name in wanted) for row in oracle(folder, "claimable_balances")}
