"""Parquet files whose row groups begin at fixed row indexes: equal rows give equal bytes, however they were cut."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from aurora_ingest.transforms.write_parquet import dictionary_columns


class HashingFile(io.RawIOBase):
    """A new file that keeps size and SHA-256 of what is written to it, so that nothing is read again."""

    def __init__(self, path: Path) -> None:
        """Creates the file, or empties it."""
        super().__init__()
        self._stream = path.open("wb")
        self._hash = hashlib.sha256()
        self.size = 0

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: Any) -> int:  # a buffer
        """Appends bytes."""
        view = memoryview(data)
        self._hash.update(view)
        self._stream.write(view)
        self.size += view.nbytes
        return view.nbytes

    def tell(self) -> int:
        """Where the next byte goes."""
        return self.size

    def close(self) -> None:
        """Brings everything to the disk."""
        if not self.closed:
            self._stream.flush()
            os.fsync(self._stream.fileno())
            self._stream.close()
        super().close()

    @property
    def sha256(self) -> str:
        """Hex SHA-256 of what was written."""
        return self._hash.hexdigest()


class RowGroupFile:
    """One Parquet file in the making, zstd.

    Rows wait until a row group is full, so at most one group and what came last are in memory. Which columns get a
    dictionary is settled by the first group alone.

    Attributes:
        rows: rows written so far.
    """

    def __init__(self, path: Path, schema: pa.Schema, row_group_rows: int) -> None:
        """Creates the file; rows of ``schema`` follow by ``write``."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.rows = 0
        self._schema = schema
        self._group_rows = row_group_rows
        self._file = HashingFile(path)
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = 0
        self._writer: pq.ParquetWriter | None = None

    def write(self, batch: pa.RecordBatch) -> None:
        """Appends rows."""
        start = 0
        while start < batch.num_rows:
            piece = batch.slice(start, self._group_rows - self._waiting_rows)
            self._waiting.append(piece)
            self._waiting_rows += piece.num_rows
            start += piece.num_rows
            if self._waiting_rows == self._group_rows:
                self._write_group()
        self.rows += batch.num_rows

    def close(self) -> tuple[int, str]:
        """Writes what waits and the footer; returns the file's size in bytes and its hex SHA-256."""
        if self._waiting or self._writer is None:
            self._write_group()
        assert self._writer is not None
        self._writer.close()
        self._file.close()
        return self._file.size, self._file.sha256

    def __enter__(self) -> RowGroupFile:  # noqa: PYI034 - typing has Self only from Python 3.11 on
        """Gives itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Leaves a file without a footer, if it was not closed before."""
        self.abandon()

    def abandon(self) -> None:
        """Gives the file up: it stays without a footer; without effect once it is closed."""
        if self._file.closed:
            return
        if self._writer is not None:
            self._writer.close()
        self._file.close()

    def _write_group(self) -> None:
        group = pa.Table.from_batches(self._waiting, self._schema).combine_chunks()
        self._waiting, self._waiting_rows = [], 0
        if self._writer is None:
            self._writer = pq.ParquetWriter(
                self._file,
                self._schema,
                compression="zstd",
                compression_level=1,
                use_dictionary=_dictionaries(group),
                write_statistics=statistics_columns(self._schema),
                store_schema=True,
            )
        if group.num_rows:
            self._writer.write_table(group, row_group_size=self._group_rows)


def statistics_columns(schema: pa.Schema) -> list[str]:
    """Returns the columns whose least and greatest value are kept per row group: numbers and times, not long texts."""
    return [
        field.name
        for field in schema
        if pa.types.is_integer(field.type) or pa.types.is_timestamp(field.type) or pa.types.is_boolean(field.type)
    ]


def read_between(path: Path, column: str, least: int, greatest: int) -> Iterator[pa.RecordBatch]:
    """Yields the rows of a file of ours whose column lies between two bounds, both included, in the file's order.

    Args:
        path: a file with statistics of ``column``.
        column: an integer column by which the rows are sorted.
        least: lower bound.
        greatest: upper bound.

    Yields:
        batches of whole row groups, cut to the bounds; one group is in memory at a time.
    """
    with pq.ParquetFile(path) as file:
        place = file.schema_arrow.get_field_index(column)
        for number in range(file.metadata.num_row_groups):
            known = file.metadata.row_group(number).column(place).statistics
            if known is not None and known.has_min_max and (known.max < least or known.min > greatest):
                continue
            for batch in file.read_row_group(number).to_batches():
                values = batch.column(place)
                inside = pc.and_(pc.greater_equal(values, least), pc.less_equal(values, greatest))
                yield batch.filter(inside)


def _dictionaries(group: pa.Table) -> list[str]:
    flat = group.select([field.name for field in group.schema if not pa.types.is_nested(field.type)])
    batches = flat.to_batches()
    return dictionary_columns(batches[0]) if batches else []
