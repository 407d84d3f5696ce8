"""The cutter: its segments are the bucket, and merged range by range they give what the streaming merge gives."""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Sequence

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aurora_ingest import _kernel
from kernel.bucket_records import DEAD, INIT, LIVE, Contents, bucket, key_of, meta, record, stream

NAMES = st.one_of(
    st.text("ABC", min_size=1, max_size=3).map(str.encode), st.integers(0, 255).map(lambda at: bytes([at]) * 32)
)
LAYERS = st.lists(
    st.dictionaries(NAMES, st.tuples(st.sampled_from([LIVE, DEAD, INIT]), st.integers(1, 10**6)), max_size=25),
    min_size=1,
    max_size=4,
)


def cut(data: bytes, *, chunk: int = 1 << 16, **options: object) -> tuple[_kernel.BucketCutter, list[_kernel.Segment]]:
    """Cuts a gzipped bucket; an error comes a second time, whatever is asked of the object."""
    cutter = _kernel.BucketCutter(**options)  # type: ignore[arg-type]
    segments: list[_kernel.Segment] = []
    try:
        for start in range(0, len(data), chunk):
            segments += cutter.feed(data[start : start + chunk])
        segments += cutter.finish()
    except ValueError as error:
        with pytest.raises(type(error), match=re.escape(str(error))):
            cutter.feed(b"x")
        with pytest.raises(type(error), match=re.escape(str(error))):
            cutter.finish()
        raise
    return cutter, segments


def merge(
    sources: Sequence[_kernel.BucketSource], data: Sequence[bytes], **options: object
) -> list[_kernel.MergedRange]:
    """Merges whole streams."""
    merger = _kernel.BucketMerger(sources, **options)  # type: ignore[arg-type]
    fed: set[int] = set()
    ranges = []
    while (step := merger.advance()) is not None:
        if not isinstance(step, int):
            ranges.append(step)
        elif step in fed:
            merger.end(step)
        else:
            fed.add(step)
            merger.feed(step, data[step])
    return ranges


def as_ipc(merged: _kernel.MergedRange) -> dict[str, bytes]:
    """Returns every table of a range as the bytes of an Arrow IPC message."""
    return {name: pa.record_batch(batch).serialize().to_pybytes() for name, batch in merged.batches}


@given(LAYERS, st.integers(1, 300), st.integers(1, 3), st.integers(1, 3))
@settings(max_examples=60)
def test_ranges_merged_from_segments_equal_the_streaming_merge(
    layers: list[Contents], chunk: int, segment_records: int, per_range: int
) -> None:
    buckets = [bucket(layer) for layer in layers]
    cuts = [cut(gzip.compress(data), chunk=chunk, segment_records=segment_records)[1] for data in buckets]
    names = [f"b{at}" for at in range(len(buckets))]
    whole = merge(
        [_kernel.BucketSource(name, "none", None) for name in names],
        buckets,
        segment_records=segment_records,
        segments_per_range=per_range,
    )
    borders = sorted({segment.first_key for segments in cuts for segment in segments})[::per_range]
    assert [merged.first_key for merged in whole] == (borders or [b""])
    for index, expected in enumerate(whole):
        lower = borders[index] if index else None
        upper = borders[index + 1] if index + 1 < len(borders) else None
        pieces = [_overlapping(segments, lower, upper) for segments in cuts]
        sources = [_kernel.BucketSource(name, "none", None, 19) for name in names]
        (one,) = merge(sources, pieces, lower=lower, upper=upper, range_index=index)
        assert (one.index, one.last, one.skipped) == (index, upper is None, False)
        assert one.first_key == expected.first_key
        assert (one.entries, one.records_read) == (expected.entries, expected.records_read)
        assert as_ipc(one) == as_ipc(expected)


def _overlapping(segments: list[_kernel.Segment], lower: bytes | None, upper: bytes | None) -> bytes:
    """Joins the segments that may hold keys of a range; the first and the last may begin and end outside."""
    starts = [segment.first_key for segment in segments]
    return b"".join(
        segment.data
        for at, segment in enumerate(segments)
        if (upper is None or starts[at] < upper)
        and (lower is None or at + 1 == len(segments) or starts[at + 1] > lower)
    )


@given(LAYERS.map(lambda layers: layers[0]), st.integers(1, 300), st.integers(1, 5))
@settings(max_examples=60)
def test_segments_are_the_bucket_without_meta(contents: Contents, chunk: int, segment_records: int) -> None:
    data = bucket(contents)
    cutter, segments = cut(
        gzip.compress(data),
        chunk=chunk,
        segment_records=segment_records,
        expected_sha256=hashlib.sha256(data).digest(),
    )
    assert stream(meta(19)) + b"".join(segment.data for segment in segments) == data
    keys = sorted(map(key_of, contents))
    assert [segment.first_key for segment in segments] == keys[::segment_records]
    assert [segment.records for segment in segments[:-1]] == [segment_records] * (len(segments) - 1)
    kinds = [kind for kind, _ in contents.values()]
    assert (cutter.live, cutter.dead, cutter.init) == tuple(map(kinds.count, (LIVE, DEAD, INIT)))
    assert (cutter.entries, cutter.protocol, cutter.uncompressed_bytes) == (len(contents), 19, len(data))
    assert cutter.sha256 == hashlib.sha256(data).digest()


def test_a_segment_is_full_by_bytes_too() -> None:
    data = stream(*(record(LIVE, name) for name in (b"A", b"B", b"C", b"D", b"E")))
    size = len(data) // 5
    for segment_bytes, sizes in ((2 * size, [2, 2, 1]), (2 * size + 1, [3, 2]), (1, [1] * 5)):
        _, segments = cut(gzip.compress(data), segment_bytes=segment_bytes)
        assert [segment.records for segment in segments] == sizes


@pytest.mark.parametrize(
    "data,error,message",
    [
        (stream(record(LIVE, b"A"), meta(19)), _kernel.AlgebraError, "METAENTRY not first"),
        (stream(record(INIT, b"A")), _kernel.AlgebraError, "INITENTRY"),
        (stream(record(LIVE, b"B"), record(LIVE, b"A")), _kernel.OrderError, "record 1 .* after record 0"),
        (stream(record(LIVE, b"A"), record(DEAD, b"A")), _kernel.OrderError, "records 0 and 1 both"),
        (stream(record(LIVE, b"A"))[:-1], _kernel.XdrError, "record body truncated"),
    ],
)
def test_what_breaks_the_rules_is_refused(data: bytes, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        cut(gzip.compress(data), chunk=5)


def test_another_hash_is_refused_with_both_values() -> None:
    data = bucket({b"A": (LIVE, 1)})
    with pytest.raises(_kernel.HashMismatch) as caught:
        cut(gzip.compress(data), expected_sha256=b"\1" * 32)
    assert (caught.value.expected, caught.value.computed) == (b"\1" * 32, hashlib.sha256(data).digest())


@pytest.mark.parametrize("data", [gzip.compress(bucket({b"A": (LIVE, 1)}))[:-9], b"<html>404</html>"])
def test_damaged_gzip_is_refused(data: bytes) -> None:
    with pytest.raises(_kernel.XdrError):
        cut(data)
