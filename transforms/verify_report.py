"""The report of a verification: verdicts of all ledgers in order, counted, and written as a Parquet dataset."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
from apache_beam import pvalue

from aurora_ingest.history_archive.archive_state import HOT_ARCHIVE_PROTOCOL
from aurora_ingest.ledger.verdicts import BAD, COLUMNS, OK, VERDICT_SCHEMA, with_outcomes
from aurora_ingest.ledger.verification import judge_checkpoint, judge_ledgers
from aurora_ingest.transforms.ledger_unit import batch_from_ipc, batch_to_ipc
from aurora_ingest.transforms.verdict_dataset import TABLE, VerdictDataset
from aurora_ingest.transforms.verify_plan import ChunkReceipt, PairReceipt, StateReceipt, VerifyPlan
from aurora_ingest.transforms.write_parquet import parquet_bytes

REPORT = "report.json"
PART_LEDGERS = 1000
"""Ledgers per part, cut at absolute multiples."""
_MOST_TOLD = 100
"""Ledgers that are not as they should be and are told one by one."""

Outcomes = dict[int, dict[str, tuple[str, str]]]


@dataclass
class Report:
    """What a person wants to know of a verification.

    Attributes:
        ledgers: number of ledgers judged.
        counts: by column and verdict, how many ledgers.
        bad: number of ledgers with a bad column.
        told: the first of them, as rows of the verdict table.
        parts: files of the verdict rows in the work directory, in order.
    """

    ledgers: int = 0
    counts: dict[str, Counter[str]] = field(default_factory=lambda: {name: Counter() for name in COLUMNS})
    bad: int = 0
    told: list[dict[str, Any]] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)

    def add(self, rows: pa.RecordBatch) -> None:
        """Count verdict rows."""
        self.ledgers += rows.num_rows
        wrong = pa.repeat(False, rows.num_rows)
        for name in COLUMNS:
            column = rows.column(name)
            for each in pc.value_counts(column).to_pylist():
                self.counts[name][each["values"]] += each["counts"]
            wrong = pc.or_(wrong, pc.equal(column, BAD))
        bad = rows.filter(wrong)
        self.bad += bad.num_rows
        self.told += bad.slice(0, max(_MOST_TOLD - len(self.told), 0)).to_pylist()

    @property
    def first_bad(self) -> tuple[int, str, str] | None:
        """Ledger, column and note of the first bad verdict, or None."""
        if not self.told:
            return None
        row = self.told[0]
        column = next(name for name in COLUMNS if row[name] == BAD)
        return row["ledger_sequence"], column, row["note"] or ""

    @property
    def hint(self) -> str:
        """What may be behind it all, or empty: nothing that depends on the network is right on the wrong one."""
        for name in ("transaction_hashes", "scp_signature"):
            if self.counts[name][BAD] and not self.counts[name][OK]:
                return f"not one {name.replace('_', ' ').removesuffix('es')} is right: is it the right network?"
        return ""

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        first = self.first_bad
        return {
            "ledgers": self.ledgers,
            "bad_ledgers": self.bad,
            "first_bad": None if first is None else dict(zip(("ledger", "column", "note"), first, strict=True)),
            "hint": self.hint,
            "counts": {name: dict(sorted(counts.items())) for name, counts in self.counts.items()},
            "told": self.told,
            "parts": self.parts,
        }


def final_verdicts(
    plan: VerifyPlan, chunks: Iterable[ChunkReceipt], states: Iterable[StateReceipt], pairs: Iterable[PairReceipt]
) -> Iterator[pa.RecordBatch]:
    """Yield the verdicts of all ledgers in order, once everything about them is known.

    The first ledger of each chunk is judged again beside the last one of the chunk before, and checkpoints get what
    their states tell.
    """
    ordered = sorted(chunks, key=lambda chunk: chunk.ledgers.first)
    outcomes = checkpoint_outcomes(plan, ordered, states, pairs)
    before = _trusted_row(plan, ordered[0])
    for chunk in ordered:
        with pa.ipc.open_stream(pa.py_buffer(plan.work.read(chunk.path))) as reader:
            for place, batch in enumerate(reader):
                rows = batch
                if place == 0 and chunk.first_row is not None and before is not None:
                    first = judge_ledgers(batch_from_ipc(chunk.first_row), before, plan.rules)
                    rows = _one(pa.Table.from_batches([first, batch.slice(1)]))
                sequences = range(rows.column(0)[0].as_py(), rows.column(0)[-1].as_py() + 1)
                yield with_outcomes(rows, {ledger: outcomes[ledger] for ledger in sequences if ledger in outcomes})
        before = None if chunk.last_row is None else batch_from_ipc(chunk.last_row)


def checkpoint_outcomes(
    plan: VerifyPlan, chunks: Sequence[ChunkReceipt], states: Iterable[StateReceipt], pairs: Iterable[PairReceipt]
) -> Outcomes:
    """What the states tell of their ledgers, by ledger sequence and column."""
    found: Outcomes = {}
    headers = {row["ledger_sequence"]: row for chunk in chunks for row in map(_row, chunk.checkpoint_rows)}
    for state in states:
        header = headers.get(state.checkpoint)
        if state.checkpoint not in plan.ledgers:
            continue
        if state.fault:
            found[state.checkpoint] = {"bucket_list_hash": (BAD, state.fault)}
        elif header is not None:
            full = header["protocol_version"] >= HOT_ARCHIVE_PROTOCOL
            buckets = state.full_hash if full else state.live_hash
            found[state.checkpoint] = judge_checkpoint(header, buckets, state.native, plan.network.passphrase)
        if state.bucket_fault:
            found.setdefault(state.checkpoint, {})["state"] = (BAD, state.bucket_fault)
    for chunk in chunks:
        for ledger, why in chunk.contradictions.items():
            found.setdefault(ledger, {})["state"] = (BAD, why)
    for pair in pairs:
        for ledger, why in pair.breaks:
            found.setdefault(ledger, {}).setdefault("state", (BAD, why))
        found.setdefault(pair.checkpoint, {}).setdefault("state", (pair.verdict, pair.note))
    return found


def write_report(
    plan: VerifyPlan, chunks: Iterable[ChunkReceipt], states: Iterable[StateReceipt], pairs: Iterable[PairReceipt]
) -> Report:
    """Put all verdicts in order, count them, and write them to the work directory and the Parquet dataset.

    Equal ledgers give equal files. The dataset holds one verification: it is replaced as a whole, manifest last.
    """
    report = Report()
    dataset = None if plan.parquet_dir is None else VerdictDataset(plan.parquet_dir)
    for part in _parts(final_verdicts(plan, chunks, states, pairs)):
        report.add(part)
        first, last = part.column(0)[0].as_py(), part.column(0)[-1].as_py()
        name = f"part-{first:010d}-{last:010d}"
        plan.work.write(f"report/{name}.arrow", batch_to_ipc(part))
        report.parts.append(f"report/{name}.arrow")
        if dataset is not None:
            dataset.add(f"{name}.parquet", parquet_bytes(part))
    if dataset is not None:
        dataset.publish(_manifest(plan, report, dataset.names))
    plan.work.write(REPORT, json.dumps(report.to_json()).encode())
    return report


def read_verdicts(plan: VerifyPlan, report: Mapping[str, Any]) -> Iterator[pa.RecordBatch]:
    """Yield the verdict rows of a written report, part by part."""
    for path in report["parts"]:
        yield batch_from_ipc(plan.work.read(path))


def _manifest(plan: VerifyPlan, report: Report, names: Sequence[str]) -> str:
    manifest = {
        "network": plan.network.passphrase,
        "ledgers": [plan.ledgers.first, plan.ledgers.last],
        "pyarrow": pa.__version__,
        **{name: value for name, value in report.to_json().items() if name not in {"parts", "told"}},
        "files": sorted(names),
    }
    return json.dumps(manifest, indent=1) + "\n"


def _parts(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Cut consecutive verdict rows at absolute multiples of `PART_LEDGERS`."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        rest = batch
        while rest.num_rows:
            first = rest.column(0)[0].as_py()
            count = min(PART_LEDGERS - first % PART_LEDGERS, rest.num_rows)
            waiting.append(rest.slice(0, count))
            rest = rest.slice(count)
            if (first + count) % PART_LEDGERS == 0:
                yield _one(pa.Table.from_batches(waiting))
                waiting = []
    if waiting:
        yield _one(pa.Table.from_batches(waiting))


def _one(table: pa.Table) -> pa.RecordBatch:
    return table.cast(VERDICT_SCHEMA).combine_chunks().to_batches()[0]


def _row(ipc: bytes) -> dict[str, Any]:
    return dict(batch_from_ipc(ipc).to_pylist()[0])


def _trusted_row(plan: VerifyPlan, chunk: ChunkReceipt) -> pa.RecordBatch | None:
    """The trusted ledger as the one before the range, if it is: nothing of it is known but its hash."""
    if plan.trusted is None or plan.trusted[0] != plan.ledgers.first - 1 or chunk.first_row is None:
        return None
    sequence, ledger_hash = plan.trusted
    schema = batch_from_ipc(chunk.first_row).schema
    known = {"ledger_sequence": sequence, "ledger_hash": ledger_hash}
    return pa.RecordBatch.from_pylist([{name: known.get(name) for name in schema.names}], schema)


class _ReportFn(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    """The writing of the one report."""

    def __init__(self, plan: VerifyPlan) -> None:
        self._plan = plan

    def process(
        self, _name: str, chunks: list[ChunkReceipt], states: list[StateReceipt], pairs: list[PairReceipt]
    ) -> Iterator[int]:
        yield write_report(self._plan, chunks, states, pairs).bad


class ReportVerdicts(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """Receipts → the number of bad ledgers, once the verdicts of all ledgers are in the work directory and Parquet.

    Bounded; one worker, since it puts the verdicts in order; memory is flat in their number. Writing it twice gives
    the same files. Fails only when the disk does.
    """

    def __init__(
        self,
        plan: VerifyPlan,
        states: beam.PCollection[StateReceipt],
        pairs: beam.PCollection[PairReceipt],
    ) -> None:
        """Keep the plan and the receipts of states."""
        super().__init__()
        self._plan = plan
        self._states = states
        self._pairs = pairs

    def expand(self, chunks: beam.PCollection[ChunkReceipt]) -> beam.PCollection[int]:
        """Wire the ParDo, which waits for all receipts."""
        receipts = (pvalue.AsList(each) for each in (chunks, self._states, self._pairs))
        report = beam.ParDo(_ReportFn(self._plan), *receipts).with_output_types(int)
        return chunks.pipeline | "CreateReport" >> beam.Create([TABLE]) | "WriteReport" >> report
