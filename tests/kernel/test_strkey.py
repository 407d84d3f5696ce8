"""Strkeys of every kind, against stellar-sdk and against damage."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stellar_sdk import StrKey

from aurora_ingest import _kernel

SHORT = st.binary(min_size=32, max_size=32)
PAYLOADS: dict[str, st.SearchStrategy[bytes]] = {
    "G": SHORT,
    "T": SHORT,
    "X": SHORT,
    "C": SHORT,
    "L": SHORT,
    "M": st.binary(min_size=40, max_size=40),
    "B": SHORT.map(lambda raw: b"\0" + raw),
    "P": st.builds(
        lambda key, signed: key + len(signed).to_bytes(4, "big") + signed + bytes(-len(signed) % 4),
        SHORT,
        st.binary(min_size=1, max_size=64),
    ),
}
ENCODERS: dict[str, Callable[[bytes], str]] = {
    "G": StrKey.encode_ed25519_public_key,
    "T": StrKey.encode_pre_auth_tx,
    "X": StrKey.encode_sha256_hash,
    "C": StrKey.encode_contract,
    "L": StrKey.encode_liquidity_pool,
    "M": StrKey.encode_med25519_public_key,
    "B": StrKey.encode_claimable_balance,
    "P": StrKey.encode_ed25519_signed_payload,
}
ANY_KIND = st.sampled_from(sorted(PAYLOADS)).flatmap(lambda kind: st.tuples(st.just(kind), PAYLOADS[kind]))
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


@given(ANY_KIND)
def test_strkeys_are_those_of_stellar_sdk_and_are_read_back(case: tuple[str, bytes]) -> None:
    kind, payload = case
    text = _kernel.strkey_encode(kind, payload)
    assert text == ENCODERS[kind](payload)
    assert _kernel.strkey_decode(text) == (kind, payload)


@given(ANY_KIND, st.data())
def test_one_wrong_character_is_always_found(case: tuple[str, bytes], data: st.DataObject) -> None:
    text = _kernel.strkey_encode(*case)
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from(ALPHABET.replace(text[at], "")))
    with pytest.raises(ValueError, match="strkey"):
        _kernel.strkey_decode(text[:at] + other + text[at + 1 :])


@given(ANY_KIND, st.integers(1, 8))
def test_a_cut_or_lengthened_text_is_refused(case: tuple[str, bytes], count: int) -> None:
    text = _kernel.strkey_encode(*case)
    for damaged in (text[:-count], text + "A" * count, text + "=" * count):
        with pytest.raises(ValueError, match="strkey"):
            _kernel.strkey_decode(damaged)


@given(ANY_KIND)
def test_bits_behind_the_last_byte_must_be_zero(case: tuple[str, bytes]) -> None:
    kind, payload = case
    text = _kernel.strkey_encode(kind, payload)
    spare = len(text) * 5 % 8
    for bits in range(1, 2**spare):
        damaged = text[:-1] + ALPHABET[ALPHABET.index(text[-1]) | bits]
        with pytest.raises(ValueError, match="strkey"):
            _kernel.strkey_decode(damaged)


def with_checksum(version: int, payload: bytes) -> str:
    """Returns a text whose checksum is right whatever else is wrong."""
    body = bytes([version]) + payload
    return base64.b32encode(body + binascii.crc_hqx(body, 0).to_bytes(2, "little")).decode().rstrip("=")


@pytest.mark.parametrize("kind", PAYLOADS)
def test_a_right_checksum_over_a_wrong_length_is_refused(kind: str) -> None:
    version = (ord(kind) - ord("A")) << 3
    sound = {"M": {40}, "B": {33}, "P": set()}.get(kind, {32})
    for length in range(110):
        payload = bytes(length)
        if length in sound:
            assert _kernel.strkey_decode(with_checksum(version, payload)) == (kind, payload)
            continue
        with pytest.raises(ValueError, match="strkey"):
            _kernel.strkey_decode(with_checksum(version, payload))
        with pytest.raises(ValueError, match="payload"):
            _kernel.strkey_encode(kind, payload)


@pytest.mark.parametrize(
    "signed",
    [
        (0).to_bytes(4, "big"),
        (5).to_bytes(4, "big") + b"hello",
        (5).to_bytes(4, "big") + b"hello\0\0\1",
        (4).to_bytes(4, "big") + b"hello\0\0\0",
        (65).to_bytes(4, "big") + bytes(68),
        (2**32 - 1).to_bytes(4, "big") + bytes(64),
    ],
)
def test_signed_payloads_must_be_sound_xdr(signed: bytes) -> None:
    with pytest.raises(ValueError, match="strkey"):
        _kernel.strkey_decode(with_checksum(15 << 3, bytes(32) + signed))


def test_foreign_texts_are_refused() -> None:
    account = _kernel.strkey_encode("G", bytes(32))
    seed = StrKey.encode_ed25519_secret_seed(bytes(32))
    for text in ("", "G", account.lower(), account.replace("A", "1", 1), account + "\n", "é" * 28, seed, "A" * 10_000):
        with pytest.raises(ValueError, match="strkey"):
            _kernel.strkey_decode(text)
    with pytest.raises(ValueError, match="kind"):
        _kernel.strkey_encode("Q", bytes(32))


@given(st.lists(st.one_of(st.none(), SHORT), max_size=50), st.sampled_from("GTXCL"))
def test_whole_arrays_are_encoded(values: list[bytes | None], kind: str) -> None:
    encoded = pa.array(_kernel.strkey_encode_array(kind, pa.array(values, pa.binary(32))))
    encoded.validate(full=True)
    assert encoded.to_pylist() == [None if raw is None else ENCODERS[kind](raw) for raw in values]


def test_muxed_numbers_beyond_2_to_53_are_exact() -> None:
    key = StrKey.decode_ed25519_public_key("GDVV7HIAK6W5K7J2OOZFWA4PBALGRKM6TGPXQX3ZN7QVZLS5CHRDLCVI")
    for number, text in (
        (0, "MDVV7HIAK6W5K7J2OOZFWA4PBALGRKM6TGPXQX3ZN7QVZLS5CHRDKAAAAAAAAAAAABBQE"),
        (2**53 + 1, "MDVV7HIAK6W5K7J2OOZFWA4PBALGRKM6TGPXQX3ZN7QVZLS5CHRDKABAAAAAAAAAAGKHY"),
    ):
        assert _kernel.strkey_encode("M", key + number.to_bytes(8, "big")) == text
        assert _kernel.strkey_decode(text) == ("M", key + number.to_bytes(8, "big"))
