"""Cutting verified buckets into sorted segments, so that key ranges can be merged by many workers."""

from __future__ import annotations

import bisect
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from aurora_ingest import _kernel
from aurora_ingest.transforms.build_plan import SplitRule, StateBuildPlan
from aurora_ingest.transforms.merge_buckets import CHUNK_BYTES, kernel_faults_named

_PIECE_BYTES = 32 << 20


@dataclass(frozen=True)
class StoredSegment:
    """One cut segment of a bucket: where it lies in the work directory and which sort key it starts with."""

    first_key: bytes
    file: str
    start: int
    stored_bytes: int
    raw_bytes: int


@dataclass(frozen=True)
class CutBucket:
    """One bucket after its verifying pass: its place in the bucket list, protocol and segments in key order."""

    position: int
    name: str
    protocol: int | None
    segments: tuple[StoredSegment, ...]


@dataclass(frozen=True)
class KeyRange:
    """One key range of a snapshot with the segments of every bucket that reach into it.

    Attributes:
        index: number of the range.
        last: True for the highest range.
        lower: first sort key of the range.
        upper: first sort key of the next range, or None in the last.
        buckets: the buckets' parts, newest first, each cut down to the segments of this range.
    """

    index: int
    last: bool
    lower: bytes
    upper: bytes | None
    buckets: tuple[CutBucket, ...]


def cut_bucket(plan: StateBuildPlan, position: int) -> CutBucket:
    """Verify one bucket in a single pass and store its segments in the work directory.

    A bucket that a former run has cut is taken as it is.

    Args:
        plan: the build.
        position: place of the bucket in ``plan.buckets``, 0 is the newest.

    Raises:
        BucketError: the bucket's records break the format or the order.
        HashMismatchError: the SHA-256 of the bucket is not its name.
    """
    name = plan.buckets[position]
    index_name = f"cut/{name}/index.json"
    if plan.work.exists(index_name):
        return _cut_from_json(position, name, json.loads(plan.work.read(index_name)))
    cutter = _kernel.BucketCutter(
        compression="gzip",
        expected_sha256=bytes.fromhex(name),
        segment_records=plan.split.segment_records,
        segment_bytes=plan.split.segment_bytes,
    )
    segments = tuple(_stored(plan, name, _cut(plan, name, cutter)))
    cut = CutBucket(position, name, cutter.protocol, segments)
    plan.work.write(index_name, json.dumps(_cut_to_json(cut)).encode())
    return cut


def _cut(plan: StateBuildPlan, name: str, cutter: _kernel.BucketCutter) -> Iterator[_kernel.Segment]:
    with plan.archive.open_bucket(name) as stream, kernel_faults_named(f"bucket {name}"):
        while chunk := stream.read(CHUNK_BYTES):
            yield from cutter.feed(chunk)
        yield from cutter.finish()


def _stored(plan: StateBuildPlan, name: str, segments: Iterable[_kernel.Segment]) -> Iterator[StoredSegment]:
    """Write segments into files of about 32 MiB and tell where each went."""
    codec = pa.Codec("zstd", compression_level=1)
    number, piece = 0, bytearray()
    for segment in segments:
        stored = codec.compress(segment.data, asbytes=True)
        yield StoredSegment(segment.first_key, f"cut/{name}/{number:05d}", len(piece), len(stored), len(segment.data))
        piece += stored
        if len(piece) >= _PIECE_BYTES:
            plan.work.write(f"cut/{name}/{number:05d}", bytes(piece))
            number, piece = number + 1, bytearray()
    if piece:
        plan.work.write(f"cut/{name}/{number:05d}", bytes(piece))


def _cut_to_json(cut: CutBucket) -> dict[str, object]:
    return {
        "protocol": cut.protocol,
        "segments": [[s.first_key.hex(), s.file, s.start, s.stored_bytes, s.raw_bytes] for s in cut.segments],
    }


def _cut_from_json(position: int, name: str, value: dict[str, list[list[str | int]]]) -> CutBucket:
    segments = tuple(
        StoredSegment(bytes.fromhex(str(key)), str(file), int(start), int(stored), int(raw))
        for key, file, start, stored, raw in value["segments"]
    )
    return CutBucket(position, name, value["protocol"], segments)  # type: ignore[arg-type]  # JSON value: int or None


def key_ranges(cuts: Iterable[CutBucket], rule: SplitRule) -> list[KeyRange]:
    """Cut the whole key space into ranges; a pure function of the buckets and the rule.

    Args:
        cuts: every bucket of the list, in any order.
        rule: every ``segments_per_range``-th distinct segment start begins a range.

    Returns:
        At least one range, in key order; together they hold every key once.
    """
    ordered = sorted(cuts, key=lambda cut: cut.position)
    candidates = sorted({segment.first_key for cut in ordered for segment in cut.segments})
    bounds = candidates[:: rule.segments_per_range] or [b""]
    uppers: list[bytes | None] = [*bounds[1:], None]
    return [
        KeyRange(
            index=index,
            last=upper is None,
            lower=lower,
            upper=upper,
            buckets=tuple(
                CutBucket(cut.position, cut.name, cut.protocol, _overlap(cut.segments, lower, upper)) for cut in ordered
            ),
        )
        for index, (lower, upper) in enumerate(zip(bounds, uppers, strict=True))
    ]


def _overlap(segments: Sequence[StoredSegment], lower: bytes, upper: bytes | None) -> tuple[StoredSegment, ...]:
    """Return the segments that may hold keys in ``[lower, upper)``."""
    keys = [segment.first_key for segment in segments]
    start = max(bisect.bisect_right(keys, lower) - 1, 0)
    stop = len(keys) if upper is None else bisect.bisect_left(keys, upper)
    return tuple(segments[start:stop])


def segment_chunks(plan: StateBuildPlan, bucket: CutBucket) -> Iterator[bytes]:
    """Yield the records of one bucket's part of a range, segment by segment, uncompressed."""
    codec = pa.Codec("zstd")
    for segment in bucket.segments:
        stored = plan.work.read(segment.file, segment.start, segment.stored_bytes)
        yield codec.decompress(stored, segment.raw_bytes, asbytes=True)
