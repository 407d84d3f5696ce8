"""One bucket: real ones have the hash they are named by, damaged ones are refused by the right name."""

from __future__ import annotations

import gzip
import hashlib
import random
import re
import tarfile
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from make_archive import write_synthetic_archive

from aurora_ingest import _kernel
from kernel.bucket_records import DEAD, INIT, LIVE, META, bucket, key_of, meta, record, stream, word
from kernel.framing import inflated_files, is_hot, records

SMALL = {name: (LIVE, 1 + at) for at, name in enumerate([b"A", b"AB", b"B", bytes(32), b"\xff" * 32])}
GOOD = record(LIVE, b"A")


def decode(data: bytes, *, chunk: int = 1 << 16, **options: object) -> _kernel.BucketDecoder:
    """Decodes an uncompressed bucket; an error comes a second time, whatever is asked of the object."""
    decoder = _kernel.BucketDecoder(compression="none", **options)  # type: ignore[arg-type]
    try:
        for start in range(0, len(data), chunk):
            decoder.feed(data[start : start + chunk])
        decoder.finish()
    except ValueError as error:
        with pytest.raises(type(error), match=re.escape(str(error))):
            decoder.feed(b"x")
        with pytest.raises(type(error), match=re.escape(str(error))):
            decoder.finish()
        raise
    return decoder


@pytest.mark.shared_data
@pytest.mark.parametrize("network", ["testnet-archive-1-8063", "pubnet-archive-11999936-12001023"])
def test_real_buckets_have_the_hash_they_are_named_by(shared_data: Path, network: str) -> None:
    with tarfile.open(shared_data / f"public/stellar-archivist/{network}.tar") as tar:
        members = [member for member in tar if Path(member.name).match("bucket-*.xdr.gz")]
        assert len(members) >= 60
        for member in random.Random(1).sample(members, 60):
            packed = tar.extractfile(member)
            assert packed is not None
            expected = bytes.fromhex(Path(member.name).name[7:71])
            decoder = _kernel.BucketDecoder(expected_sha256=expected)
            data = packed.read()
            rows = sum(batch.num_rows for _, batch in [*decoder.feed(data), *decoder.finish()])
            plain = gzip.decompress(data)
            assert decoder.sha256 == expected == hashlib.sha256(plain).digest()
            assert decoder.uncompressed_bytes == len(plain)
            assert rows == decoder.entries == sum(body[:4] != word(META) for body in records(plain))


@pytest.mark.shared_data
def test_hot_buckets_of_a_real_network_decode_only_as_hot(shared_data: Path) -> None:
    hot = [data for data in inflated_files(shared_data / "standalone-p23/archive", "bucket") if is_hot(data)]
    assert hot
    for data in hot:
        assert decode(data, kind="hot").sha256 == hashlib.sha256(data).digest()
        with pytest.raises(_kernel.AlgebraError, match="hot archive list, expected the live list"):
            decode(data)


def test_a_synthetic_archive_decodes_with_its_hot_buckets(tmp_path: Path) -> None:
    write_synthetic_archive(tmp_path / "archive", 1000)
    data = list(inflated_files(tmp_path / "archive", "bucket"))
    assert any(map(is_hot, data))
    assert not all(map(is_hot, data))
    for each in data:
        decoder = decode(each, kind="hot" if is_hot(each) else "live")
        assert decoder.protocol == 23
        assert decoder.entries == sum(1 for _ in records(each)) - 1


@pytest.mark.shared_data
def test_real_buckets_ascend_by_sort_key_and_not_by_encoded_key(shared_data: Path) -> None:
    bytes_descend = 0
    for data in inflated_files(shared_data / "standalone-p19/archive", "bucket"):
        keys = [
            body[4:] if body[:4] == word(DEAD) else _kernel.ledger_key_of(body[4:])
            for body in records(data)
            if body[:4] != word(META)
        ]
        assert all(_kernel.sort_key(low) < _kernel.sort_key(high) for low, high in pairwise(keys))
        bytes_descend += any(low > high for low, high in pairwise(keys))
    assert bytes_descend


@given(st.integers(1, 300), st.integers(1, 4))
@settings(max_examples=30)
def test_chunks_and_batches_do_not_change_what_is_decoded(chunk: int, batch_rows: int) -> None:
    packed = gzip.compress(bucket(SMALL), mtime=0)
    decoder = _kernel.BucketDecoder(batch_rows=batch_rows)
    made: list[tuple[str, _kernel.ArrowBatch]] = []
    for start in range(0, len(packed), chunk):
        made += decoder.feed(packed[start : start + chunk])
    made += decoder.finish()
    whole = {name: pa.record_batch(batch) for name, batch in _kernel.read_bucket(packed).items()}
    for name in ("account", "data"):
        parts = pa.Table.from_batches([pa.record_batch(batch) for table, batch in made if table == name])
        assert parts.equals(pa.Table.from_batches([whole[name]]))
    assert sum(batch.num_rows for batch in whole.values()) == len(SMALL)


@pytest.mark.parametrize("chunk", [1, 7, 1 << 16])
@pytest.mark.parametrize(
    "data,error,message",
    [
        (stream(GOOD, meta(19)), _kernel.AlgebraError, "record 1: METAENTRY not first"),
        (stream(meta(19), meta(19)), _kernel.AlgebraError, "record 1: METAENTRY not first"),
        (stream(record(INIT, b"A")), _kernel.AlgebraError, "record 0: INITENTRY in a bucket with no METAENTRY"),
        (stream(meta(10), record(INIT, b"A")), _kernel.AlgebraError, "METAENTRY of protocol 10"),
        (bytes.fromhex("800000"), _kernel.XdrError, "frame header truncated, 3 of 4 bytes"),
        (bytes.fromhex("8000000800000000"), _kernel.XdrError, "record body truncated, 4 of 8 bytes"),
        (bytes.fromhex("00000004"), _kernel.XdrError, "last-fragment bit clear"),
        (bytes.fromhex("fffffffc"), _kernel.XdrError, "declares 2147483644 bytes, the cap is"),
        (bytes.fromhex("80000000"), _kernel.XdrError, "record of zero bytes"),
        (stream(GOOD[:-4]), _kernel.XdrError, "record 0"),
        (stream(GOOD + bytes(4)), _kernel.XdrError, "record 0"),
        (stream(GOOD, word(7)), _kernel.XdrError, "record 1"),
    ],
)
def test_what_breaks_the_rules_is_refused(data: bytes, error: type[Exception], message: str, chunk: int) -> None:
    with pytest.raises(error, match=message):
        decode(data, chunk=chunk)


@pytest.mark.parametrize("data,entries", [(b"", 0), (stream(meta(11)), 0), (stream(meta(11), record(INIT, b"A")), 1)])
def test_a_stream_may_end_after_any_record(data: bytes, entries: int) -> None:
    decoder = decode(data)
    assert (decoder.entries, decoder.sha256) == (entries, hashlib.sha256(data).digest())


@pytest.mark.parametrize("names", [(b"B", b"A"), (b"A", b"\xff" * 32)])
def test_descending_keys_are_refused_with_both_records(names: tuple[bytes, bytes]) -> None:
    data = stream(meta(19), *(record(LIVE, name) for name in names))
    with pytest.raises(_kernel.OrderError, match=r"record 2 .* after record 1 ") as caught:
        decode(data)
    assert all(key_of(name).hex() in str(caught.value) for name in names)
    assert decode(data, check_order=False).entries == 2


def test_a_doubled_key_is_refused_with_both_records() -> None:
    with pytest.raises(_kernel.OrderError, match="records 1 and 2 both") as caught:
        decode(stream(meta(19), GOOD, record(DEAD, b"A")))
    assert key_of(b"A").hex() in str(caught.value)


def test_another_hash_is_refused_with_both_values() -> None:
    data = bucket(SMALL)
    with pytest.raises(_kernel.HashMismatch) as caught:
        decode(data, expected_sha256=bytes(32))
    assert (caught.value.expected, caught.value.computed) == (bytes(32), hashlib.sha256(data).digest())
    assert all(value.hex() in str(caught.value) for value in (bytes(32), hashlib.sha256(data).digest()))


def test_caps_hold_at_their_last_byte() -> None:
    data, size = stream(GOOD), len(GOOD)
    assert decode(data, max_record=size, max_inflated=size + 4).entries == 1
    with pytest.raises(_kernel.XdrError, match=rf"declares {size} bytes, the cap is {size - 1} "):
        decode(data, max_record=size - 1)
    with pytest.raises(_kernel.XdrError, match=rf"more than the cap of {size + 3} bytes"):
        decode(data, max_inflated=size + 3)


def test_an_error_says_where() -> None:
    with pytest.raises(_kernel.XdrError) as caught:
        decode(stream(meta(19), GOOD, record(LIVE, b"B")[:-4]))
    error = caught.value
    start = len(stream(meta(19), GOOD))
    assert (error.record_index, error.entry_type) == (2, "data")
    assert start < error.offset <= start + 4 + len(GOOD)


def test_damaged_gzip_is_refused() -> None:
    packed = gzip.compress(bucket(SMALL), mtime=0)
    crc = bytearray(packed)
    crc[-8] ^= 1
    damaged = {
        "cut": packed[:-1],
        "cut in the middle": packed[: len(packed) // 2],
        "crc": bytes(crc),
        "page": b"<html><body>404 Not Found</body></html>",
        "empty": b"",
        "trailing": packed + b"x",
    }
    for what, data in damaged.items():
        decoder = _kernel.BucketDecoder()
        with pytest.raises(_kernel.XdrError):  # noqa: PT012  # feed or finish may find it
            decoder.feed(data)
            decoder.finish()
            pytest.fail(what)
        with pytest.raises(_kernel.XdrError):
            decoder.finish()


def test_flipped_bytes_are_refused_and_never_crash() -> None:
    rng = random.Random(7)
    names = [bytes(rng.choices(b"ABC", k=3)) for _ in range(40)]
    plain = bucket({name: (LIVE, at) for at, name in enumerate(names)})
    packed, expected = gzip.compress(plain, mtime=0), hashlib.sha256(plain).digest()
    refused = 0
    for _ in range(500):
        damaged = bytearray(packed)
        for _ in range(rng.randint(1, 3)):
            damaged[rng.randrange(len(damaged))] ^= rng.randrange(1, 256)
        try:
            made = _kernel.read_bucket(bytes(damaged), expected_sha256=expected)
        except ValueError:
            refused += 1
        else:
            # Only the gzip header (time, system) can change without changing what is inflated.
            assert sum(batch.num_rows for batch in made.values()) == len(set(names))
    assert refused > 400
