"""SEP-51 JSON: the reference's vectors to the byte, and the way back through stellar-sdk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from stellar_sdk import xdr

from aurora_ingest import _kernel
from kernel.xdr_mutation import corpus

WIDE = (
    ("Int128Parts", -(2**127), 16),
    ("Int128Parts", -1, 16),
    ("UInt128Parts", 2**128 - 1, 16),
    ("Int256Parts", -(2**255), 32),
    ("Int256Parts", 10**57 + 7, 32),
    ("UInt256Parts", 2**256 - 1, 32),
    ("UInt256Parts", 0, 32),
)


@pytest.mark.shared_data
def test_the_vectors_of_two_sdks_are_met_to_the_byte(shared_data: Path) -> None:
    vectors = list(corpus(shared_data))
    assert len(vectors) > 650
    assert len({name for name, _, _ in vectors}) > 150
    for name, value, text in vectors:
        _kernel.xdr_validate(name, value)
        assert _kernel.xdr_to_json(name, value) == text, name


def test_numbers_of_64_bits_and_more_are_strings() -> None:
    assert _kernel.xdr_to_json("int64", (-(2**63)).to_bytes(8, "big", signed=True)) == '"-9223372036854775808"'
    assert _kernel.xdr_to_json("uint64", b"\xff" * 8) == '"18446744073709551615"'
    assert _kernel.xdr_to_json("int32", b"\xff" * 4) == "-1"
    assert _kernel.xdr_to_json("uint32", b"\xff" * 4) == "4294967295"
    for name, number, size in WIDE:
        value = number.to_bytes(size, "big", signed=name.startswith("I"))
        assert _kernel.xdr_to_json(name, value) == f'"{number}"'


def test_strings_show_every_byte() -> None:
    text = bytes(range(256))
    written = json.loads(_kernel.xdr_to_json("SCString", xdr.SCString(text).to_xdr_bytes()))
    assert written.isascii()
    assert xdr.SCString.from_json_dict(written).sc_string == text


def test_asset_codes_keep_what_tells_them_apart() -> None:
    assert _kernel.xdr_to_json("AssetCode4", b"AB\0\0") == '"AB"'
    assert _kernel.xdr_to_json("AssetCode4", b"\0\0\0\0") == '""'
    assert _kernel.xdr_to_json("AssetCode4", b"A\0\xffB") == r'"A\\0\\xffB"'
    assert _kernel.xdr_to_json("AssetCode12", b"ABCDEFGHIJKL") == '"ABCDEFGHIJKL"'
    assert _kernel.xdr_to_json("AssetCode12", b"AB" + bytes(10)) == r'"AB\\0\\0\\0"'


def test_what_is_new_in_protocol_28_has_names() -> None:
    signature = bytes(4) + bytes(32) + bytes(4)  # node and an empty signature
    proposed = (2).to_bytes(4, "big") + bytes(32) + bytes(32) + bytes(4) + signature
    assert '{"empty_tx_set":{"tx_set_hash":"00' in _kernel.xdr_to_json("StellarValueExt", proposed)
    tag = xdr.SCVal(xdr.SCValType.SCV_EXECUTABLE_TAG, executable_tag=xdr.SCString(b"v1"))
    assert _kernel.xdr_to_json("SCVal", tag.to_xdr_bytes()) == '{"executable_tag":"v1"}'
    owner = bytes.fromhex("00000001") + bytes(32)
    external = (2).to_bytes(4, "big") + owner + xdr.SCString(b"v1").to_xdr_bytes()
    text = _kernel.xdr_to_json("ContractExecutable", external)
    assert json.loads(text)["external_ref"]["tag"] == "v1"


@pytest.mark.shared_data
def test_the_sdk_reads_our_json_back_to_the_same_bytes(shared_data: Path) -> None:
    types = {"LedgerEntry", "LedgerKey", "SCVal", "ConfigSettingEntry", "ClaimPredicate", "SCAddress", "SCSpecTypeDef"}
    absent = ('"not":null', '"vec":null', '"map":null')  # of which the SDK cannot read the JSON
    vectors = [
        (name, value)
        for name, value, text in corpus(shared_data)
        if name in types and not any(member in text for member in absent)
    ]
    assert {name for name, _ in vectors} >= {"LedgerEntry", "SCVal", "ClaimPredicate", "SCAddress"}
    for name, value in vectors:
        text = _kernel.xdr_to_json(name, value)
        assert getattr(xdr, name).from_json(text).to_xdr_bytes() == value, text
