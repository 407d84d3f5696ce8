"""Decimals with digits after the point through binary COPY into `numeric(p, s)`, exact or refused."""

from __future__ import annotations

import random
from decimal import Decimal

import psycopg
import pyarrow as pa
import pytest

from aurora_ingest import _kernel

_COLUMNS = {
    "price": (pa.decimal128(38, 7), "numeric(38, 7)", 7, 38),
    "wide": (pa.decimal256(76, 30), "numeric(76, 30)", 30, 76),
    "free": (pa.decimal256(70, 13), "numeric", 13, 70),
    "finer": (pa.decimal128(20, 2), "numeric(30, 9)", 2, 20),
    "coarser": (pa.decimal128(20, 9), "decimal(12, 4)", 4, 12),
    "whole": (pa.int64(), "numeric(18)", 0, 18),
}


def _copied(connection: psycopg.Connection, batch: pa.RecordBatch, types: list[str]) -> list[tuple[object, ...]]:
    columns = ", ".join(f'"{name}" {sql}' for name, sql in zip(batch.schema.names, types, strict=True))
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TEMPORARY TABLE copied (position serial, {columns}) ON COMMIT DROP")  # type: ignore[arg-type]
        names = ", ".join(batch.schema.names)
        with cursor.copy(f"COPY copied ({names}) FROM STDIN (FORMAT binary)") as copy:  # type: ignore[arg-type]
            copy.write(_kernel.COPY_HEADER)
            copy.write(_kernel.copy_rows(batch, types))
            copy.write(_kernel.COPY_TRAILER)
        return cursor.execute(f"SELECT {names} FROM copied ORDER BY position").fetchall()  # type: ignore[arg-type]


@pytest.mark.postgres
def test_decimals_arrive_digit_by_digit(postgres_url: str) -> None:
    rng = random.Random(5)

    def number(digits: int, scale: int) -> Decimal:
        size = rng.choice([0, 1, 10**digits - 1, rng.randrange(10 ** rng.randrange(1, digits + 1)), 10**scale])
        return Decimal(f"{rng.choice('+-')}{size}E-{scale}")

    rows = [
        {
            name: (int(value) if pa.types.is_integer(arrow) else value)
            for name, (arrow, _, scale, digits) in _COLUMNS.items()
            for value in [number(digits, scale)]
        }
        for _ in range(400)
    ]
    batch = pa.RecordBatch.from_pylist(rows, pa.schema([(name, kind[0]) for name, kind in _COLUMNS.items()]))
    with psycopg.connect(postgres_url) as connection:
        found = _copied(connection, batch, [sql for _, sql, _, _ in _COLUMNS.values()])
    assert found == [tuple(row.values()) for row in rows]
    # A column without a scale of its own shows the digits that the values came with.
    exponents = {row[2].as_tuple().exponent for row in found if isinstance(row[2], Decimal)}
    assert exponents == {-13}


@pytest.mark.parametrize(
    "value,arrow,sql,reason",
    [
        ("1234.5", pa.decimal128(10, 1), "numeric(4, 1)", "1234.5 is out of the range of numeric(4, 1)"),
        ("-1000", pa.decimal128(10, 0), "NUMERIC(5, 2)", "-1000 is out of the range of numeric(5, 2)"),
        ("0.125", pa.decimal256(40, 3), "numeric(9, 2)", "0.125 has more digits after the point than numeric(9, 2)"),
        (
            "-0.0000001",
            pa.decimal128(38, 7),
            "numeric(39)",
            "-0.0000001 has more digits after the point than numeric(39",
        ),
    ],
)
def test_what_a_column_would_round_or_refuse_is_named(value: str, arrow: pa.DataType, sql: str, reason: str) -> None:
    batch = pa.record_batch({"amount": pa.array([None, Decimal(value)], arrow)})
    with pytest.raises(_kernel.RowError) as caught:
        _kernel.copy_rows(batch, [sql])
    assert f"row 1, column amount: {reason}" in str(caught.value)
