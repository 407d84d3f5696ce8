"""Rows of entries that are legal but odd: NULs, bad UTF-8, greatest numbers, every kind of address and signer."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stellar_sdk import Address, StrKey, xdr
from stellar_sdk.xdr import LedgerEntryType

from aurora_ingest import _kernel
from kernel.framing import bucket_of
from kernel.sdk_rows import Row, display, expected_row, parsed

NETWORK_ID = bytes(range(32))
INT64_MAX = 2**63 - 1
UINT32_MAX = 2**32 - 1
# Vectors of the trap list: LedgerEntry XDR.
HOME_DOMAIN_NUL = (
    "AAAD6AAAAAAAAAAA61+dAFet1X06c7JbA48IFmipnpmfeF95b+Fcrl0R4jUAAAAAO5rKAAAAAAAAAAAFAAAAAAAAAAAAAAAAAAAADGV4YQBtcGxlLm9y"
    "ZwECAgIAAAAAAAAAAAAAAAA="
)
OFFER = (
    "AAAD6AAAAAIAAAAA2K5LEcJpeE/xZd3LbUdBYAwUY7C08K6gee1Mq5xiZHwAAAAAAAAAHgAAAAFVU0QAAAAAADbu17plOL+V4yoaURBteCs4jPbpKDzE"
    "1A1+vvzPxj/oAAAAAH//////////AAAA{price}AAAAAAAAAAAAAAA="
)
CODE4_NULMID = "AAAAAUEAQgA="


def rows_of(*entries: xdr.LedgerEntry | bytes) -> list[Row]:
    """Returns the row of each entry; all are of one table."""
    data = bucket_of(entry if isinstance(entry, bytes) else entry.to_xdr_bytes() for entry in entries)
    batches = _kernel.read_bucket(data, compression="none", check_order=False, network_id=NETWORK_ID)
    (batch,) = [pa.record_batch(batch) for batch in batches.values() if batch.num_rows]
    batch.validate(full=True)
    return batch.to_pylist()


def account_id(fill: int) -> xdr.AccountID:
    return xdr.AccountID(xdr.PublicKey(xdr.PublicKeyType.PUBLIC_KEY_TYPE_ED25519, xdr.Uint256(bytes([fill] * 32))))


def entry_of(data: xdr.LedgerEntryData, sponsor: int | None = None) -> xdr.LedgerEntry:
    ext = xdr.LedgerEntryExt(0)
    if sponsor is not None:
        named = xdr.SponsorshipDescriptor(account_id(sponsor) if sponsor else None)
        ext = xdr.LedgerEntryExt(1, xdr.LedgerEntryExtensionV1(named, xdr.LedgerEntryExtensionV1Ext(0)))
    return xdr.LedgerEntry(xdr.Uint32(UINT32_MAX), data, ext)


def alphanum4(code: bytes, issuer: int = 7) -> xdr.Asset:
    kind = xdr.AssetType.ASSET_TYPE_CREDIT_ALPHANUM4
    return xdr.Asset(kind, alpha_num4=xdr.AlphaNum4(xdr.AssetCode4(code), account_id(issuer)))


def data_entry(name: bytes, value: bytes) -> xdr.LedgerEntry:
    found = xdr.DataEntry(account_id(1), xdr.String64(name), xdr.DataValue(value), xdr.DataEntryExt(0))
    return entry_of(xdr.LedgerEntryData(LedgerEntryType.DATA, data=found))


def check(*entries: xdr.LedgerEntry) -> list[Row]:
    """Compares the rows of the entries with those of stellar-sdk and returns them."""
    found = rows_of(*entries)
    assert [parsed(row) for row in found] == [expected_row(entry, 0, NETWORK_ID)[1] for entry in entries]
    return found


def test_a_home_domain_with_a_nul_is_kept_as_bytes_and_shown_escaped() -> None:
    (row,) = rows_of(base64.b64decode(HOME_DOMAIN_NUL))
    assert row["home_domain"] == b"exa\0mple.org"
    assert row["home_domain_text"] == "exa\\0mple.org"
    assert row["account_id"] == "GDVV7HIAK6W5K7J2OOZFWA4PBALGRKM6TGPXQX3ZN7QVZLS5CHRDLCVI"


def test_an_asset_code_with_a_nul_inside_is_not_another_code() -> None:
    code = base64.b64decode(CODE4_NULMID)[4:]
    assert code == b"A\0B\0"
    lines = []
    for asset in (alphanum4(code), alphanum4(b"AB\0\0"), alphanum4(b"\0\0\0\0"), alphanum4(b"\\0\0\0")):
        held = xdr.TrustLineAsset(asset.type, alpha_num4=asset.alpha_num4)
        zero = xdr.Int64(0)
        line = xdr.TrustLineEntry(account_id(2), held, zero, zero, xdr.Uint32(UINT32_MAX), xdr.TrustLineEntryExt(0))
        lines.append(entry_of(xdr.LedgerEntryData(LedgerEntryType.TRUSTLINE, trust_line=line), sponsor=0))
    found = check(*lines)
    assert [row["asset_code"] for row in found] == ["A\\0B", "AB", "", "\\0"]
    assert [row["asset_code_bytes"] for row in found] == [b"A\0B\0", b"AB\0\0", b"\0\0\0\0", b"\\0\0\0"]
    assert len({row["asset_base64"] for row in found}) == 4
    assert [(row["sponsor"], row["ledger_ext_version"]) for row in found] == [(None, 1)] * 4


@pytest.mark.parametrize("price, n, d", [("AQAAAAIA", 1, 2), ("AgAAAAQA", 2, 4), ("AwAAAAYA", 3, 6)])
def test_offers_keep_their_price_as_it_was_given(price: str, n: int, d: int) -> None:
    (row,) = rows_of(base64.b64decode(OFFER.format(price=price)))
    assert (row["amount"], row["price_n"], row["price_d"]) == (INT64_MAX, n, d)
    assert (row["selling_asset_code"], row["buying_asset_type"], row["buying_asset_code"]) == ("USD", 0, None)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.binary(max_size=64), st.binary(max_size=64)), min_size=1, max_size=20))
def test_names_and_values_of_data_may_be_any_bytes(pairs: list[tuple[bytes, bytes]]) -> None:
    check(*(data_entry(name, value) for name, value in pairs))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=16), min_size=1, max_size=20))
def test_utf8_without_nul_is_shown_as_it_is(names: list[str]) -> None:
    found = rows_of(*(data_entry(name.encode(), b"") for name in names))
    assert [row["name_text"] for row in found] == names


def test_display_texts_of_odd_bytes() -> None:
    shown = {
        b"caf\xe9": "caf\\xe9",
        b"a\0": "a\\0",
        b"\xff\t\n\r\\ ~\x7f": "\\xff\\t\\n\\r\\\\ ~\\x7f",
        b"\\u0000": "\\u0000",
    }
    found = rows_of(*(data_entry(name, b"") for name in shown))
    assert [row["name_text"] for row in found] == list(shown.values()) == [display(name) for name in shown]


def account_with(ext: xdr.AccountEntryExt, signers: list[xdr.Signer]) -> xdr.LedgerEntry:
    account = xdr.AccountEntry(
        account_id(3),
        xdr.Int64(INT64_MAX),
        xdr.SequenceNumber(xdr.Int64(INT64_MAX)),
        xdr.Uint32(UINT32_MAX),
        account_id(4),
        xdr.Uint32(UINT32_MAX),
        xdr.String32(b"\xc3\xa9.example"),
        xdr.Thresholds(b"\xff\x00\x80\x01"),
        signers,
        ext,
    )
    return entry_of(xdr.LedgerEntryData(LedgerEntryType.ACCOUNT, account=account), sponsor=9)


def signer(kind: int, weight: int) -> xdr.Signer:
    key_type = xdr.SignerKeyType(kind)
    raw = xdr.Uint256(bytes([kind + 1] * 32))
    match kind:
        case 0:
            key = xdr.SignerKey(key_type, ed25519=raw)
        case 1:
            key = xdr.SignerKey(key_type, pre_auth_tx=raw)
        case 2:
            key = xdr.SignerKey(key_type, hash_x=raw)
        case _:
            payload = xdr.SignerKeyEd25519SignedPayload(raw, bytes(range(weight % 64 + 1)))
            key = xdr.SignerKey(key_type, ed25519_signed_payload=payload)
    return xdr.Signer(key, xdr.Uint32(weight))


def account_ext(version: int, sponsors: list[int | None]) -> xdr.AccountEntryExt:
    if version == 0:
        return xdr.AccountEntryExt(0)
    v3 = xdr.AccountEntryExtensionV2Ext(0)
    if version == 3:
        times = xdr.AccountEntryExtensionV3(
            xdr.ExtensionPoint(0), xdr.Uint32(UINT32_MAX), xdr.TimePoint(xdr.Uint64(2**64 - 1))
        )
        v3 = xdr.AccountEntryExtensionV2Ext(3, times)
    v2 = xdr.AccountEntryExtensionV1Ext(0)
    if version >= 2:
        named = [xdr.SponsorshipDescriptor(account_id(fill) if fill else None) for fill in sponsors]
        counts = xdr.AccountEntryExtensionV2(xdr.Uint32(UINT32_MAX), xdr.Uint32(UINT32_MAX), named, v3)
        v2 = xdr.AccountEntryExtensionV1Ext(2, counts)
    liabilities = xdr.Liabilities(xdr.Int64(INT64_MAX), xdr.Int64(1))
    return xdr.AccountEntryExt(1, xdr.AccountEntryExtensionV1(liabilities, v2))


def test_accounts_of_every_version_with_every_kind_of_signer() -> None:
    signers = [signer(kind, weight) for kind in range(4) for weight in (0, 63, 255, UINT32_MAX)]
    sponsors = [fill if fill % 3 else None for fill in range(16)]
    accounts = [account_with(account_ext(version, sponsors), signers) for version in range(4)]
    found = check(*accounts, account_with(account_ext(3, []), []))
    assert [row["ext_version"] for row in found] == [0, 1, 2, 3, 3]
    assert found[3]["sequence_time"] == 2**64 - 1
    assert {given["key"][0] for given in found[0]["signers"]} == set("GTXP")
    assert found[4]["signers"] == []


def test_contract_data_of_every_kind_of_address() -> None:
    raw = bytes(range(32))
    addresses = [
        StrKey.encode_ed25519_public_key(raw),
        StrKey.encode_contract(raw),
        StrKey.encode_med25519_public_key(raw + (2**53 + 1).to_bytes(8, "big")),
        StrKey.encode_claimable_balance(b"\0" + raw),
        StrKey.encode_liquidity_pool(raw),
    ]
    found = check(*(contract_entry(address) for address in addresses))
    assert [row["contract"] for row in found] == addresses
    assert [row["contract_id"] for row in found] == [None, raw, None, None, None]


def contract_entry(address: str) -> xdr.LedgerEntry:
    found = xdr.ContractDataEntry(
        xdr.ExtensionPoint(0),
        Address(address).to_xdr_sc_address(),
        xdr.SCVal(xdr.SCValType.SCV_LEDGER_KEY_NONCE, nonce_key=xdr.SCNonceKey(xdr.Int64(-1))),
        xdr.ContractDataDurability.TEMPORARY,
        xdr.SCVal(xdr.SCValType.SCV_VOID),
    )
    return entry_of(xdr.LedgerEntryData(LedgerEntryType.CONTRACT_DATA, contract_data=found))


def claimable(predicates: list[xdr.ClaimPredicate]) -> xdr.LedgerEntry:
    kind = xdr.ClaimantType.CLAIMANT_TYPE_V0
    claimants = [
        xdr.Claimant(kind, v0=xdr.ClaimantV0(account_id(at + 1), predicate)) for at, predicate in enumerate(predicates)
    ]
    balance = xdr.ClaimableBalanceEntry(
        xdr.ClaimableBalanceID(xdr.ClaimableBalanceIDType.CLAIMABLE_BALANCE_ID_TYPE_V0, v0=xdr.Hash(bytes(range(32)))),
        claimants,
        alphanum4(b"EURT"),
        xdr.Int64(INT64_MAX),
        xdr.ClaimableBalanceEntryExt(0),
    )
    return entry_of(xdr.LedgerEntryData(LedgerEntryType.CLAIMABLE_BALANCE, claimable_balance=balance))


@pytest.mark.shared_data
def test_claimants_are_printed_as_horizon_prints_them(shared_data: Path) -> None:
    cases = json.loads((shared_data / "public/vectors/claim-predicate-json.json").read_text())["cases"]
    predicates = [xdr.ClaimPredicate.from_xdr(case["predicate_xdr"]) for case in cases]
    (row,) = check(claimable(predicates))
    assert json.loads(row["claimants_json"]) == [
        {"destination": StrKey.encode_ed25519_public_key(bytes([at + 1] * 32)), "predicate": case["expected_json"]}
        for at, case in enumerate(cases)
    ]
    assert row["claimants_json"].startswith(
        '[{"predicate": {"and": [{"or": [{"rel_before": "12"}, {"abs_before": "2020'
    )
    assert len(row["claimants"]) == len(cases)


def test_a_balance_without_claimants_has_empty_lists() -> None:
    found = check(claimable([]), claimable([xdr.ClaimPredicate(xdr.ClaimPredicateType(0))]), claimable([]))
    assert [row["claimants_json"] == "[]" for row in found] == [True, False, True]
    assert [len(row["claimants"]) for row in found] == [0, 1, 0]
