"""The validators and JSON writers against stellar-sdk, on real values with small damages."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from stellar_sdk import StrKey, xdr

from aurora_ingest import _kernel
from kernel.xdr_mutation import Value, corpus, damaged, pool

# The SDK is of protocol 28; the definitions also have what the next protocol brings.
NEWER_THAN_SDK = (
    "5 is not a valid SCAddressType",
    "3 is not a valid StellarValueType",
    "4 is not a valid StellarValueType",
)
# What the SDK reads and we refuse, because it does not come back out the same.
LOOSER_IN_SDK = ("padding is not zero", "neither 0 nor 1")

# Types that are one string by SEP-51 also where they stand alone; there the SDK writes an object.
OBJECTS_IN_SDK = {"MuxedAccountMed25519", "MuxedEd25519Account", "SignerKeyEd25519SignedPayload"}


def sdk_class(name: str) -> Any:
    """Returns the SDK's class of an XDR type; the SDK writes some names in other capitals."""
    return SDK_CLASSES[name.lower()]


SDK_CLASSES = {name.lower(): getattr(xdr, name) for name in dir(xdr) if isinstance(getattr(xdr, name), type)}


def outcome(read: Callable[[], Any]) -> tuple[Any, Exception | None]:
    """Returns what reading gives, or what it raises."""
    try:
        return read(), None
    except (ValueError, EOFError, IndexError, OverflowError, MemoryError, RecursionError) as error:
        return None, error


def sdk_refusal(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def comparable(value: Any) -> Any:
    """Returns JSON without what the SDK writes otherwise than SEP-51's reference (its vectors are in test_xdr_json).

    The SDK has `txfailed` for `tx_failed`, names the arm of an asset code that stands alone (in AllowTrustOp), writes
    the contract of an event in hexadecimal digits, starts names with a digit (`8_bit` for `b8_bit`), and escapes
    nothing in asset codes.
    """
    match value:
        case {"contract_id": str(contract)} if len(contract) == 64:
            return comparable({**value, "contract_id": StrKey.encode_contract(bytes.fromhex(contract))})
        case {"credit_alphanum4": str(code)} | {"credit_alphanum12": str(code)}:
            return comparable(code)
        case dict():
            return {comparable(key): comparable(inner) for key, inner in value.items()}
        case list():
            return [comparable(inner) for inner in value]
        case str():
            escapes = {"\0": "\\0", "\t": "\\t", "\n": "\\n", "\r": "\\r", "_": ""}
            text = value.replace("\\\\", "\\")
            text = text[1:] if text in {"b8_bit", "b16_bit", "b32_bit"} else text
            return "".join(escapes.get(c, c if " " <= c <= "~" else f"\\x{ord(c):02x}") for c in text)
    return value


def judge(name: str, value: bytes) -> str:
    """Compares both readers on one value and returns how it went; fails on what is not explained above."""
    theirs, sdk_error = outcome(lambda: sdk_class(name).from_xdr_bytes(value))
    _, our_error = outcome(lambda: _kernel.xdr_validate(name, value))
    text, json_error = outcome(lambda: _kernel.xdr_to_json(name, value))
    assert (our_error is None) == (json_error is None), f"{name} {value.hex()}: {our_error!r} but JSON {json_error!r}"
    if our_error is not None and sdk_error is not None:
        return "neither"
    if our_error is not None:
        assert isinstance(our_error, _kernel.XdrError)
        assert any(reason in str(our_error) for reason in LOOSER_IN_SDK), f"{name} {value.hex()}: {our_error}"
        assert theirs.to_xdr_bytes() != value
        return "stellar-sdk only: " + str(our_error).rsplit(": ", 1)[-1]
    if sdk_error is not None:
        assert any(reason in str(sdk_error) for reason in NEWER_THAN_SDK), f"{name} {value.hex()}: {sdk_error!r}"
        return "kernel only: " + sdk_refusal(sdk_error)
    assert theirs.to_xdr_bytes() == value, f"{name} {value.hex()}: both accept, but the SDK writes other bytes"
    if name in OBJECTS_IN_SDK:
        return "both, other JSON in stellar-sdk"
    ours = json.loads(text)
    try:
        their_json = theirs.to_json_dict()
    except (AssertionError, UnicodeDecodeError) as error:
        # The SDK has no JSON for an absent vec, map or predicate, nor for asset codes outside ASCII.
        return f"both, no JSON in stellar-sdk: {type(error).__name__}"
    assert comparable(ours) == comparable(their_json), f"{name} {value.hex()}"
    return "both"


def values(groups: list[list[Value]], rng: random.Random, count: int) -> Iterator[Value]:
    """Returns that many damaged values, each shape as often as any other."""
    for _ in range(count):
        name, value = rng.choice(rng.choice(groups))
        yield name, damaged(value, rng)


@pytest.mark.shared_data
@pytest.mark.parametrize("count", [20_000, pytest.param(200_000, marks=pytest.mark.slow)])
def test_damaged_values_are_judged_and_read_as_by_the_sdk(shared_data: Path, count: int) -> None:
    rng = random.Random(count)
    groups = pool(shared_data, rng)
    tally = Counter(judge(name, value) for name, value in values(groups, rng, count))
    assert tally["both"] > count / 5
    assert tally["neither"] > count / 5
    assert tally.total() == count


@pytest.mark.shared_data
def test_damaged_vectors_of_all_types_are_judged_and_read_as_by_the_sdk(shared_data: Path) -> None:
    rng = random.Random(51)
    vectors = [(name, value) for name, value, _ in corpus(shared_data)]
    tally = Counter(judge(name, damaged(value, rng)) for name, value in vectors for _ in range(20))
    assert tally["both"] > len(vectors)
