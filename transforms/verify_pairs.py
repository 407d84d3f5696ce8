"""States rebuilt: the state of one checkpoint and the changes after it have to give the state of the next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
from apache_beam import pvalue

from aurora_ingest import _kernel
from aurora_ingest.ledger.compaction import compact
from aurora_ingest.ledger.genesis import genesis_changes
from aurora_ingest.ledger.verdicts import ABSENT, BAD, OK
from aurora_ingest.transforms.spill import KEY_HASH, partition_batches
from aurora_ingest.transforms.verify_fingerprints import (
    BEFORE_HASH,
    BEFORE_KNOWN,
    CHANGE_SCHEMA,
    ENTRY_HASH,
    LEDGER,
    LEDGER_KEY,
    STATE_SCHEMA,
    change_fingerprints,
    last_of_each,
    read_fingerprints,
)
from aurora_ingest.transforms.verify_plan import (
    GENESIS_LEDGER,
    ChunkReceipt,
    PairReceipt,
    StatePair,
    StateReceipt,
    VerifyPlan,
)

_MOST_BREAKS = 100
"""Changes of one partition that are told one by one."""
Interval = tuple[int, tuple[str, ...]]
"""Ledgers between two states whose changes are known, and the files of their last changes in ledger order."""


def compare_pair(
    plan: VerifyPlan, pair: StatePair, intervals: Mapping[int, Interval], states: Mapping[int, StateReceipt]
) -> PairReceipt:
    """Rebuild the later state of a pair from the earlier and the changes between, and compare it with the archive's.

    Args:
        plan: the verification.
        pair: the two states.
        intervals: what reading the ledgers left behind, by later checkpoint.
        states: what reading the checkpoints left behind, by checkpoint.
    """
    between = pair.later - pair.earlier
    known, changes = intervals.get(pair.later, (0, ()))
    if known < between:
        told = f"{between - known} of {between} ledgers since {pair.earlier} have no changes" if known else ""
        return PairReceipt(pair.later, ABSENT, told)
    ends = [states[end] for end in (pair.earlier, pair.later) if end != GENESIS_LEDGER]
    for state in ends:
        if not state.live_hash or state.bucket_fault:
            verdict = BAD if state.checkpoint == pair.later else ABSENT
            return PairReceipt(pair.later, verdict, state.bucket_fault or state.fault)
    earlier = () if pair.earlier == GENESIS_LEDGER else states[pair.earlier].paths
    different, first = 0, ""
    breaks: dict[int, str] = {}
    for partition in range(plan.partitions):
        before = read_fingerprints(plan, earlier, partition, STATE_SCHEMA)
        if pair.earlier == GENESIS_LEDGER:
            before = _genesis(plan, partition)
        changed = read_fingerprints(plan, changes, partition, CHANGE_SCHEMA)
        for ledger, why in broken_links(before, changed, pair.earlier):
            breaks.setdefault(ledger, why)
        archived = read_fingerprints(plan, states[pair.later].paths, partition, STATE_SCHEMA)
        rows = _differences(_rebuilt(before, changed), archived)
        different += rows.num_rows
        first = first or _first_difference(rows, pair)
    found = tuple(sorted(breaks.items()))
    if different:
        plural = "entry differs" if different == 1 else "entries differ"
        note = f"{different} {plural} from the archive's buckets; {first}"
        return PairReceipt(pair.later, BAD, note, found)
    return PairReceipt(pair.later, OK, "", found)


def broken_links(before: pa.Table, changed: pa.Table, earlier: int) -> Iterator[tuple[int, str]]:
    """Find changes that do not start from the entry that was there.

    Args:
        before: `STATE_SCHEMA`, the entries of one partition in the earlier state.
        changed: `CHANGE_SCHEMA`, what the ledgers since did to its keys.
        earlier: ledger of the earlier state.

    Yields:
        Ledger and explanation, at most one for each ledger and none twice.
    """
    mine = before.filter(pc.is_in(before.column(KEY_HASH), changed.column(KEY_HASH).combine_chunks()))
    start = mine.append_column(LEDGER, pa.repeat(pa.scalar(earlier, pa.int64()), mine.num_rows))
    rows = pa.concat_tables([start, changed], promote_options="default").sort_by(
        [(KEY_HASH, "ascending"), (LEDGER, "ascending")]
    )
    if rows.num_rows == 0:
        return
    keys, after = (rows.column(name).combine_chunks() for name in (KEY_HASH, ENTRY_HASH))
    count = len(keys) - 1
    same_key = pa.concat_arrays([pa.array([False]), pc.equal(keys.slice(1), keys.slice(0, count))])
    there = pa.concat_arrays([pa.nulls(1, after.type), after.slice(0, count)])
    there = pc.if_else(same_key, there, pa.scalar(None, after.type))
    stated = rows.column(BEFORE_HASH).combine_chunks()
    equal = pc.or_kleene(pc.and_(pc.is_null(there), pc.is_null(stated)), pc.fill_null(pc.equal(there, stated), False))
    known = pc.fill_null(rows.column(BEFORE_KNOWN).combine_chunks(), False)
    last = pa.concat_arrays([pa.array([earlier], pa.int64()), rows.column(LEDGER).combine_chunks().slice(0, count)])
    broken = rows.append_column("last", pc.if_else(same_key, last, earlier)).filter(pc.and_(known, pc.invert(equal)))
    told: set[int] = set()
    for row in broken.select([LEDGER, LEDGER_KEY, "last"]).slice(0, _MOST_BREAKS).to_pylist():
        if row[LEDGER] not in told:
            told.add(row[LEDGER])
            name = _kernel.xdr_to_json("LedgerKey", row[LEDGER_KEY])
            yield row[LEDGER], f"a change of entry {name} does not start from what ledger {row['last']} left"


def _genesis(plan: VerifyPlan, partition: int) -> pa.Table:
    """The state after ledger 1: the root account, in its partition."""
    whole = change_fingerprints(compact(genesis_changes(plan.network)))
    return pa.Table.from_batches([_of_partition(plan, whole, partition)]).select(STATE_SCHEMA.names)


def _rebuilt(before: pa.Table, changed: pa.Table) -> pa.Table:
    """The fingerprints of one partition after the changes; rows of entries that did not change have no key."""
    last = last_of_each(changed, KEY_HASH)
    kept = before.filter(pc.invert(pc.is_in(before.column(KEY_HASH), last.column(KEY_HASH).combine_chunks())))
    return pa.concat_tables([kept, last], promote_options="default")


def _of_partition(plan: VerifyPlan, batch: pa.RecordBatch, partition: int) -> pa.RecordBatch:
    return partition_batches(batch, plan.partitions)[partition]


def _differences(rebuilt: pa.Table, archived: pa.Table) -> pa.Table:
    """Rows whose entry is in one state only, or another one; ``archived_hash`` is null where the archive has none."""
    archived = archived.rename_columns([KEY_HASH, "archived_hash"])
    both = rebuilt.join(archived, KEY_HASH, join_type="full outer")
    here, there = both.column(ENTRY_HASH), both.column("archived_hash")
    same = pc.or_kleene(pc.and_(pc.is_null(here), pc.is_null(there)), pc.fill_null(pc.equal(here, there), False))
    return both.filter(pc.invert(same))


def _first_difference(rows: pa.Table, pair: StatePair) -> str:
    """Tell one differing entry in words: the one with the lowest key hash."""
    if rows.num_rows == 0:
        return ""
    row = rows.sort_by(KEY_HASH).slice(0, 1).to_pylist()[0]
    key = row[LEDGER_KEY]
    name = _kernel.xdr_to_json("LedgerKey", key) if key else f"with key hash {row[KEY_HASH].hex()}"
    last = f"last changed in ledger {row[LEDGER]}" if row[LEDGER] else f"not changed since {pair.earlier}"
    if row["archived_hash"] is None:
        how = "which the archive does not have"
    elif row[ENTRY_HASH] is None:
        how = "which only the archive has"
    else:
        how = "which is another one in the archive"
    return f"the first is entry {name}, {last}, {how}"


class _ComparePairFn(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    """The comparison of one pair."""

    def __init__(self, plan: VerifyPlan) -> None:
        self._plan = plan

    def process(
        self, pair: StatePair, intervals: dict[int, Interval], states: dict[int, StateReceipt]
    ) -> Iterator[PairReceipt]:
        yield compare_pair(self._plan, pair, intervals, states)


def _intervals(chunk: ChunkReceipt) -> Iterator[tuple[int, Interval]]:
    """A chunk ends where its last checkpoint's interval does, so that no other chunk has a part of it."""
    for later, known in chunk.with_changes.items():
        yield later, (known, chunk.changes.get(later, ()))


def _by_checkpoint(state: StateReceipt) -> tuple[int, StateReceipt]:
    return state.checkpoint, state


class CompareStates(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """Pairs of states → one PairReceipt each, once every ledger and every state has been read.

    Bounded, any order, one worker per pair. Only receipts are side inputs; the rows come from the work directory.
    """

    def __init__(
        self, plan: VerifyPlan, chunks: beam.PCollection[ChunkReceipt], states: beam.PCollection[StateReceipt]
    ) -> None:
        """Keep the plan and the receipts to wait for."""
        super().__init__()
        self._plan = plan
        self._receipts = (chunks, states)

    def expand(self, pairs: beam.PCollection[StatePair]) -> beam.PCollection[PairReceipt]:
        """Wire the ParDo."""
        chunks, states = self._receipts
        sides = (
            pvalue.AsDict(chunks | "Intervals" >> beam.FlatMap(_intervals)),
            pvalue.AsDict(states | "ByCheckpoint" >> beam.Map(_by_checkpoint)),
        )
        compare = beam.ParDo(_ComparePairFn(self._plan), *sides).with_output_types(PairReceipt)
        return pairs | "SpreadPairs" >> beam.Reshuffle() | "ComparePairs" >> compare
