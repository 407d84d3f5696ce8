"""Sort keys: the order of their bytes is core's order of ledger keys; the order of encoded keys is not."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stellar_sdk import xdr

from aurora_ingest import _kernel
from kernel.framing import inflated_files, is_hot, records
from kernel.xdr_key_order import compare_keys

HASHES = st.sampled_from([bytes(32), bytes(31) + b"\1", b"\x7f" + bytes(31), b"\x80" + bytes(31), b"\xff" * 32])
TEXTS = st.lists(st.sampled_from([b"\0", b"\1", b"a", b"b", b"\xff"]), max_size=5).map(b"".join)
U32 = st.sampled_from([0, 1, 255, 256, 2**31 - 1, 2**31, 2**32 - 1])
I32 = st.sampled_from([-(2**31), -1, 0, 1, 256, 2**31 - 1])
U64 = st.sampled_from([0, 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1])
I64 = st.sampled_from([-(2**63), -(2**32), -1, 0, 1, 2**63 - 1])

accounts = HASHES.map(
    lambda key: xdr.AccountID(xdr.PublicKey(xdr.PublicKeyType.PUBLIC_KEY_TYPE_ED25519, xdr.Uint256(key)))
)
hashes = HASHES.map(xdr.Hash)
pools = hashes.map(xdr.PoolID)
balances = hashes.map(lambda v: xdr.ClaimableBalanceID(xdr.ClaimableBalanceIDType.CLAIMABLE_BALANCE_ID_TYPE_V0, v))
muxed = st.builds(xdr.MuxedEd25519Account, U64.map(xdr.Uint64), HASHES.map(xdr.Uint256))


def arm(union: type, kind: object, name: str, values: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    """Returns values of one arm of a union."""
    return values.map(lambda value: union(kind, **{name: value}))


def padded(code: bytes, size: int) -> bytes:
    return code[:size].ljust(size, b"\0")


trust_line_assets = st.one_of(
    st.just(xdr.TrustLineAsset(xdr.AssetType.ASSET_TYPE_NATIVE)),
    arm(xdr.TrustLineAsset, xdr.AssetType.ASSET_TYPE_CREDIT_ALPHANUM4, "alpha_num4",
        st.builds(xdr.AlphaNum4, TEXTS.map(lambda c: xdr.AssetCode4(padded(c, 4))), accounts)),
    arm(xdr.TrustLineAsset, xdr.AssetType.ASSET_TYPE_CREDIT_ALPHANUM12, "alpha_num12",
        st.builds(xdr.AlphaNum12, TEXTS.map(lambda c: xdr.AssetCode12(padded(c, 12))), accounts)),
    arm(xdr.TrustLineAsset, xdr.AssetType.ASSET_TYPE_POOL_SHARE, "liquidity_pool_id", pools),
)  # fmt: skip
addresses = st.one_of(
    arm(xdr.SCAddress, xdr.SCAddressType.SC_ADDRESS_TYPE_ACCOUNT, "account_id", accounts),
    arm(xdr.SCAddress, xdr.SCAddressType.SC_ADDRESS_TYPE_CONTRACT, "contract_id", hashes.map(xdr.ContractID)),
    arm(xdr.SCAddress, xdr.SCAddressType.SC_ADDRESS_TYPE_MUXED_ACCOUNT, "muxed_account", muxed),
    arm(xdr.SCAddress, xdr.SCAddressType.SC_ADDRESS_TYPE_CLAIMABLE_BALANCE, "claimable_balance_id", balances),
    arm(xdr.SCAddress, xdr.SCAddressType.SC_ADDRESS_TYPE_LIQUIDITY_POOL, "liquidity_pool_id", pools),
)
T = xdr.SCValType
leaves = st.one_of(
    st.booleans().map(lambda b: xdr.SCVal(T.SCV_BOOL, b=b)),
    st.sampled_from([T.SCV_VOID, T.SCV_LEDGER_KEY_CONTRACT_INSTANCE]).map(xdr.SCVal),
    arm(xdr.SCVal, T.SCV_ERROR, "error", st.one_of(
        arm(xdr.SCError, xdr.SCErrorType.SCE_CONTRACT, "contract_code", U32.map(xdr.Uint32)),
        arm(xdr.SCError, xdr.SCErrorType.SCE_AUTH, "code", st.sampled_from(xdr.SCErrorCode)))),
    arm(xdr.SCVal, T.SCV_U32, "u32", U32.map(xdr.Uint32)),
    arm(xdr.SCVal, T.SCV_I32, "i32", I32.map(xdr.Int32)),
    arm(xdr.SCVal, T.SCV_U64, "u64", U64.map(xdr.Uint64)),
    arm(xdr.SCVal, T.SCV_I64, "i64", I64.map(xdr.Int64)),
    arm(xdr.SCVal, T.SCV_I128, "i128", st.builds(xdr.Int128Parts, I64.map(xdr.Int64), U64.map(xdr.Uint64))),
    arm(xdr.SCVal, T.SCV_BYTES, "bytes", TEXTS.map(xdr.SCBytes)),
    arm(xdr.SCVal, T.SCV_STRING, "str", TEXTS.map(xdr.SCString)),
    arm(xdr.SCVal, T.SCV_SYMBOL, "sym", TEXTS.map(xdr.SCSymbol)),
    arm(xdr.SCVal, T.SCV_ADDRESS, "address", addresses),
    arm(xdr.SCVal, T.SCV_LEDGER_KEY_NONCE, "nonce_key", I64.map(lambda n: xdr.SCNonceKey(xdr.Int64(n)))),
    st.sampled_from([T.SCV_VEC, T.SCV_MAP]).map(xdr.SCVal),
)  # fmt: skip


def containers(inner: st.SearchStrategy[xdr.SCVal]) -> st.SearchStrategy[xdr.SCVal]:
    """Returns values that contain others: vecs, maps, and contract instances with and without storage."""
    maps = st.lists(st.builds(xdr.SCMapEntry, inner, inner), max_size=3).map(xdr.SCMap)
    executables = st.one_of(
        arm(xdr.ContractExecutable, xdr.ContractExecutableType.CONTRACT_EXECUTABLE_WASM, "wasm_hash", hashes),
        st.just(xdr.ContractExecutable(xdr.ContractExecutableType.CONTRACT_EXECUTABLE_STELLAR_ASSET)),
    )
    instances = st.builds(xdr.SCContractInstance, executables, st.none() | maps)
    return st.one_of(
        arm(xdr.SCVal, T.SCV_VEC, "vec", st.lists(inner, max_size=3).map(xdr.SCVec)),
        arm(xdr.SCVal, T.SCV_MAP, "map", maps),
        arm(xdr.SCVal, T.SCV_CONTRACT_INSTANCE, "instance", instances),
    )


sc_vals = st.recursive(leaves, containers, max_leaves=6)
E = xdr.LedgerEntryType
ledger_keys = st.one_of(
    arm(xdr.LedgerKey, E.ACCOUNT, "account", st.builds(xdr.LedgerKeyAccount, accounts)),
    arm(xdr.LedgerKey, E.TRUSTLINE, "trust_line", st.builds(xdr.LedgerKeyTrustLine, accounts, trust_line_assets)),
    arm(xdr.LedgerKey, E.OFFER, "offer", st.builds(xdr.LedgerKeyOffer, accounts, I64.map(xdr.Int64))),
    arm(xdr.LedgerKey, E.DATA, "data",
        st.builds(xdr.LedgerKeyData, accounts, TEXTS.map(xdr.String64))),
    arm(xdr.LedgerKey, E.CLAIMABLE_BALANCE, "claimable_balance", st.builds(xdr.LedgerKeyClaimableBalance, balances)),
    arm(xdr.LedgerKey, E.LIQUIDITY_POOL, "liquidity_pool", st.builds(xdr.LedgerKeyLiquidityPool, pools)),
    arm(xdr.LedgerKey, E.CONTRACT_DATA, "contract_data",
        st.builds(xdr.LedgerKeyContractData, addresses, sc_vals, st.sampled_from(xdr.ContractDataDurability))),
    arm(xdr.LedgerKey, E.CONTRACT_CODE, "contract_code", st.builds(xdr.LedgerKeyContractCode, hashes)),
    arm(xdr.LedgerKey, E.CONFIG_SETTING, "config_setting",
        st.builds(xdr.LedgerKeyConfigSetting, st.sampled_from(xdr.ConfigSettingID))),
    arm(xdr.LedgerKey, E.TTL, "ttl", st.builds(xdr.LedgerKeyTtl, hashes)),
)  # fmt: skip


def sign(left: bytes, right: bytes) -> int:
    return (left > right) - (left < right)


def assert_same_order(left: xdr.LedgerKey, right: xdr.LedgerKey) -> None:
    keys = [_kernel.sort_key(key.to_xdr_bytes()) for key in (left, right)]
    assert sign(*keys) == compare_keys(left, right)


@settings(max_examples=800)
@given(ledger_keys, ledger_keys)
def test_sort_keys_are_in_cores_order(left: xdr.LedgerKey, right: xdr.LedgerKey) -> None:
    assert_same_order(left, right)


@settings(max_examples=800)
@given(sc_vals, sc_vals)
def test_contract_data_keys_are_in_cores_order(left: xdr.SCVal, right: xdr.SCVal) -> None:
    def key(value: xdr.SCVal) -> xdr.LedgerKey:
        contract = xdr.SCAddress(
            xdr.SCAddressType.SC_ADDRESS_TYPE_CONTRACT, contract_id=xdr.ContractID(xdr.Hash(bytes(32)))
        )
        data = xdr.LedgerKeyContractData(contract, value, xdr.ContractDataDurability.PERSISTENT)
        return xdr.LedgerKey(E.CONTRACT_DATA, contract_data=data)

    assert_same_order(key(left), key(right))


def bucket_keys(bucket: bytes) -> Iterator[bytes]:
    """Returns the encoded ledger keys of a bucket's records, in its order."""
    entries, keys = ((b"\0\0\0\0",), (b"\0\0\0\1",)) if is_hot(bucket) else ((b"\0\0\0\0", b"\0\0\0\2"), (b"\0\0\0\1",))
    for record in records(bucket):
        if record[:4] in entries:
            yield _kernel.ledger_key_of(record[4:])
        elif record[:4] in keys:
            yield record[4:]


@pytest.mark.shared_data
@pytest.mark.parametrize(
    "archive,breaks",
    [
        ("standalone-p19", 199),
        ("standalone-p19-accel", 41),
        ("standalone-p23", 52),
        ("public/stellar-archivist/testnet-archive-1-8063.tar", 20),
        ("public/stellar-archivist/pubnet-archive-11999936-12001023.tar", 0),
    ],
)
def test_every_bucket_ascends_strictly_by_sort_key_and_not_by_encoded_key(
    shared_data: Path, archive: str, breaks: int
) -> None:
    rng = random.Random(archive)
    byte_order_breaks: Counter[xdr.LedgerEntryType] = Counter()
    for bucket in inflated_files(shared_data / archive, "bucket"):
        encoded = list(bucket_keys(bucket))
        keys = [_kernel.sort_key(key) for key in encoded]
        assert all(a < b for a, b in pairwise(keys))
        for a, b in pairwise(encoded):
            byte_order_breaks[E(a[3])] += a > b
        for at in rng.sample(range(len(encoded) - 1), min(3, max(0, len(encoded) - 1))):
            left, right = (xdr.LedgerKey.from_xdr_bytes(key) for key in encoded[at : at + 2])
            assert compare_keys(left, right) == -1
    assert byte_order_breaks[E.DATA] == breaks
    if "testnet" in archive:
        assert byte_order_breaks[E.CONTRACT_DATA] == 344


def test_a_name_that_another_continues_stands_before_it() -> None:
    def key(name: bytes) -> bytes:
        account = xdr.AccountID(xdr.PublicKey(xdr.PublicKeyType.PUBLIC_KEY_TYPE_ED25519, xdr.Uint256(bytes(32))))
        return xdr.LedgerKey(E.DATA, data=xdr.LedgerKeyData(account, xdr.String64(name))).to_xdr_bytes()

    names = [b"", b"\0", b"\0\0", b"\0a", b"a", b"a\0", b"ab", b"b", b"\xff"]
    assert sorted(names, key=lambda name: _kernel.sort_key(key(name))) == names
    assert sorted(names, key=key) != names  # the length stands first in XDR
