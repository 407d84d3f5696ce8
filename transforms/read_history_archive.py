"""Reading a checkpoint of a history archive as LedgerUnits of live rows, one per key range."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator

import apache_beam as beam
from apache_beam import pvalue

from aurora_ingest import _kernel
from aurora_ingest.transforms import metrics
from aurora_ingest.transforms.build_plan import StateBuildPlan
from aurora_ingest.transforms.cut_buckets import CutBucket, KeyRange, cut_bucket, key_ranges, segment_chunks
from aurora_ingest.transforms.ledger_unit import RANGE, LedgerUnit
from aurora_ingest.transforms.merge_buckets import (
    BucketStreams,
    kernel_faults_named,
    merger_for,
    one_ahead,
    run_merger,
    unit_of_range,
)

_log = logging.getLogger("aurora_ingest.state")


def streamed_units(plan: StateBuildPlan) -> Iterator[LedgerUnit]:
    """Merge all buckets in one pass and yield the key ranges in order.

    Memory is flat in the number of entries: one megabyte of each bucket, and two ranges of at most about
    ``segments_per_range`` plus one segments per bucket.

    Raises:
        BucketError: a bucket breaks the format, its order or the merge rules.
        HashMismatchError: a bucket is not what its name says; nothing may be published then.
    """
    finished = plan.finished_indexes(RANGE)
    sources = [_kernel.BucketSource(name, "gzip", bytes.fromhex(name)) for name in plan.buckets]
    merger = merger_for(plan, sources, skip_ranges=sorted(finished))
    sizes = plan.archive.bucket_sizes(plan.buckets)
    metrics.publish(metrics.BuildStarted(plan.checkpoint, len(sizes), sum(size or 0 for size in sizes)))
    progress = metrics.BucketCounter(len(sizes), sizes)
    reporter = metrics.LoggingStateReporter(_log)
    streams = BucketStreams(lambda source: plan.archive.open_bucket(plan.buckets[source]), progress.read)
    reporter.on_start_state(plan.checkpoint)
    try:
        plan.archive.prefetch(plan.buckets)
        with kernel_faults_named(f"checkpoint {plan.checkpoint}"):
            for merged in one_ahead(run_merger(merger, streams.next_chunk)):
                reporter.on_state_entries(sum(merged.entries.values()))
                done = merged.index in finished
                yield unit_of_range(plan, merged, last=merged.last, done=done)
    except Exception as error:
        reporter.on_end_state(error)
        raise
    finally:
        streams.close()
    reporter.on_end_state()
    metrics.report_algebra(merger.algebra_warning_count, merger.algebra_warnings)


def range_unit(plan: StateBuildPlan, key_range: KeyRange) -> LedgerUnit:
    """Merge one key range out of the cut buckets.

    Raises:
        BucketError: the cut segments break the merge rules.
    """
    sources = [_kernel.BucketSource(bucket.name, "none", None, bucket.protocol or 0) for bucket in key_range.buckets]
    merger = merger_for(plan, sources, lower=key_range.lower, upper=key_range.upper, range_index=key_range.index)
    feeds = [segment_chunks(plan, bucket) for bucket in key_range.buckets]
    with kernel_faults_named(f"key range {key_range.index} of checkpoint {plan.checkpoint}"):
        (merged,) = run_merger(merger, lambda source: next(feeds[source], b""))
    metrics.report_algebra(merger.algebra_warning_count, merger.algebra_warnings)
    return unit_of_range(plan, merged, last=key_range.last, done=False)


class _MergeBucketsFn(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    """One streaming merge of all buckets."""

    def __init__(self, plan: StateBuildPlan) -> None:
        self._plan = plan

    def process(self, _build_id: str) -> Iterator[LedgerUnit]:
        yield from streamed_units(self._plan)


class _CutBucketFn(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    """The verifying pass over one bucket."""

    def __init__(self, plan: StateBuildPlan) -> None:
        self._plan = plan

    def process(self, position: int) -> Iterator[CutBucket]:
        yield cut_bucket(self._plan, position)


class _PlanRangesFn(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    """Split points from every bucket's segment starts."""

    def __init__(self, plan: StateBuildPlan) -> None:
        self._plan = plan

    def process(self, _build_id: str, cuts: Iterable[CutBucket]) -> Iterator[KeyRange]:
        yield from key_ranges(cuts, self._plan.split)


class _MergeRangeFn(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    """The merge of one key range, unless a former run has finished it."""

    def __init__(self, plan: StateBuildPlan) -> None:
        self._plan = plan

    def process(self, key_range: KeyRange) -> Iterator[LedgerUnit]:
        plan = self._plan
        stored = plan.finished.get((RANGE, key_range.index))
        if stored is None:
            yield range_unit(plan, key_range)
        else:
            yield LedgerUnit(
                RANGE, key_range.index, key_range.last, plan.checkpoint, plan.checkpoint, {}, {}, {}, stored, done=True
            )


class ReadFromHistoryArchive(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """Checkpoint → PCollection of LedgerUnits of live rows, one per key range.

    Bounded. Units come in any order; inside a unit rows stand in core's key order. Every bucket's SHA-256, record
    format and strict order are checked; a fault fails the pipeline before anything is published. Units are a pure
    function of the buckets and the plan's cutting rule, so a retried bundle yields equal units.

    Parallelism: one streaming merge on one worker (``plan.spread`` False), or one worker per bucket for verifying
    and cutting, then one per key range (True). Both yield the same units.
    """

    def __init__(self, plan: StateBuildPlan) -> None:
        """Keep the plan."""
        super().__init__()
        self._plan = plan

    def expand(self, begin: pvalue.PBegin) -> beam.PCollection[LedgerUnit]:
        """Wire the streaming merge or the two passes."""
        plan = self._plan
        build = begin | "CreateBuild" >> beam.Create([plan.build_id])
        if not plan.spread:
            return build | "MergeBuckets" >> beam.ParDo(_MergeBucketsFn(plan)).with_output_types(LedgerUnit)
        cuts = (
            begin
            | "CreateBuckets" >> beam.Create(range(len(plan.buckets)))
            | "SpreadBuckets" >> beam.Reshuffle()
            | "CutBuckets" >> beam.ParDo(_CutBucketFn(plan)).with_output_types(CutBucket)
        )
        return (
            build
            | "PlanRanges" >> beam.ParDo(_PlanRangesFn(plan), pvalue.AsList(cuts)).with_output_types(KeyRange)
            | "SpreadRanges" >> beam.Reshuffle()
            | "MergeRanges" >> beam.ParDo(_MergeRangeFn(plan)).with_output_types(LedgerUnit)
        )
