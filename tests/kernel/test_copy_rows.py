"""Arrow rows through binary COPY into PostgreSQL and back."""

from __future__ import annotations

import datetime as dt
import decimal
import math
import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurora_ingest import _kernel

_WIDE = pa.decimal256(76, 0)
_TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
_RANGE = pa.struct([("lower", pa.int64()), ("upper", pa.int64())])
_COLUMNS: dict[str, tuple[pa.DataType, str, Callable[[random.Random], Any]]] = {
    "flag": (pa.bool_(), "boolean", lambda rng: rng.random() < 0.5),
    "small": (pa.int8(), "smallint", lambda rng: rng.randrange(-128, 128)),
    "number": (pa.int64(), "integer", lambda rng: rng.randrange(-(2**31), 2**31)),
    "amount": (pa.int64(), "bigint", lambda rng: rng.choice([-(2**63), 2**63 - 1, 0, rng.getrandbits(62)])),
    "price": (pa.float64(), "double precision", lambda rng: rng.choice([0.0, -1.5, 1 / 3, 1e300, math.inf])),
    "seconds": (pa.uint64(), "numeric", lambda rng: rng.getrandbits(64)),
    "total": (_WIDE, "numeric", lambda rng: Decimal(rng.choice([-1, 1]) * rng.getrandbits(rng.randrange(0, 250)))),
    "round": (_WIDE, "numeric", lambda rng: Decimal(10 ** rng.randrange(75))),
    "address": (pa.string(), "character varying(12)", lambda rng: "Gé" * rng.randrange(7)),
    "name": (pa.string(), "text", lambda rng: rng.choice(["", "a\tb\\N", "naïve\n", "𝄞"])),
    "raw": (pa.binary(), "bytea", lambda rng: rng.randbytes(rng.randrange(9))),
    "key_hash": (pa.binary(32), "bytea", lambda rng: rng.randbytes(32)),
    "signatures": (pa.list_(pa.string()), "varchar[]", lambda rng: ["Gé", '"{,}\\'][: rng.randrange(3)]),
    "signers": (pa.list_(pa.string()), "text[]", lambda rng: [None, "", "x"][: rng.randrange(4)]),
    "closed_at": (
        pa.timestamp("us"),
        "timestamp without time zone",
        lambda rng: dt.datetime.fromisoformat("0001-01-01") + dt.timedelta(microseconds=rng.getrandbits(57)),
    ),
    "document": (pa.string(), "jsonb", lambda rng: rng.choice(['{"a": [1, null]}', "[]", '"\\\\u0000"'])),
}


@pytest.mark.postgres
def test_rows_arrive_as_they_were(postgres_url: str) -> None:
    rng = random.Random(1)
    rows = [
        {name: None if rng.random() < 0.2 else make(rng) for name, (_, _, make) in _COLUMNS.items()} for _ in range(500)
    ]
    schema = pa.schema([(name, arrow) for name, (arrow, _, _) in _COLUMNS.items()])
    batch = pa.RecordBatch.from_pylist(rows, schema)
    types = [sql for _, sql, _ in _COLUMNS.values()]
    columns = ", ".join(f"{name} {sql}" for name, (_, sql, _) in _COLUMNS.items())
    with psycopg.connect(postgres_url) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE copied (position serial, {columns})")  # type: ignore[arg-type]
        names = ", ".join(_COLUMNS)
        with cursor.copy(f"COPY copied ({names}) FROM STDIN (FORMAT binary)") as copy:  # type: ignore[arg-type]
            copy.write(_kernel.COPY_HEADER)
            copy.write(_kernel.copy_rows(batch.slice(0, 123), types))
            copy.write(_kernel.copy_rows(batch.slice(123), types))
            copy.write(_kernel.COPY_TRAILER)
        shown = names.replace("document", "document::text")
        cursor.execute(f"SELECT {shown} FROM copied ORDER BY position")  # type: ignore[arg-type]
        assert [dict(zip(_COLUMNS, row, strict=True)) for row in cursor] == rows


@pytest.mark.postgres
@pytest.mark.parametrize(
    "lower,upper,printed",
    [
        (0, None, "[0,)"),
        (1_000, 1_781_828_827_775, "[1000,1781828827775)"),
        (None, 7, "(,7)"),
        (None, None, "(,)"),
        (5, 5, "empty"),
        (6, 5, "empty"),
        (-(2**63), 2**63 - 1, "[-9223372036854775808,9223372036854775807)"),
    ],
)
def test_ranges_print_as_postgresql_prints_them(
    lower: int | None, upper: int | None, printed: str, postgres_url: str
) -> None:
    bounds = pa.array([{"lower": lower, "upper": upper}, None], _RANGE)
    with psycopg.connect(postgres_url) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE copied (position serial, bounds int8range)")
        with cursor.copy("COPY copied (bounds) FROM STDIN (FORMAT binary)") as copy:
            rows = _kernel.copy_rows(pa.record_batch({"bounds": bounds}), ["INT8RANGE"])
            copy.write(_kernel.COPY_HEADER + rows + _kernel.COPY_TRAILER)
        cursor.execute("SELECT bounds::text FROM copied ORDER BY position")
        assert cursor.fetchall() == [(printed,), (None,)]


@pytest.mark.postgres
def test_seconds_are_copied_as_times(postgres_url: str) -> None:
    seconds = [0, 946_684_800, 1_781_828_531, 253_402_300_799]
    units = [pa.array(seconds, pa.timestamp("s")).cast(pa.timestamp(unit)) for unit in ("s", "ms", "us")]
    with psycopg.connect(postgres_url) as connection, connection.cursor() as cursor:
        for times in [pa.array(seconds, pa.int64()), *units]:
            cursor.execute("CREATE TEMPORARY TABLE copied (at timestamp) ON COMMIT DROP")
            with cursor.copy("COPY copied FROM STDIN (FORMAT binary)") as copy:
                rows = _kernel.copy_rows(pa.record_batch({"at": times}), ["timestamp"])
                copy.write(_kernel.COPY_HEADER + rows + _kernel.COPY_TRAILER)
            cursor.execute("SELECT extract(epoch FROM at)::bigint FROM copied")
            assert [value for (value,) in cursor.fetchall()] == seconds
            connection.commit()


def _numeric_of(field: bytes) -> Decimal:
    """Reads PostgreSQL's binary numeric as its documentation describes it."""
    words = [int.from_bytes(field[at : at + 2], "big") for at in range(0, len(field), 2)]
    count, weight, sign, scale = words[:4]
    assert scale == 0
    assert len(words) == 4 + count
    assert all(digit < 10_000 for digit in words[4:])
    with decimal.localcontext(prec=100):
        value = sum(
            (Decimal(digit) * Decimal(10_000) ** (weight - at) for at, digit in enumerate(words[4:])), Decimal(0)
        )
        return -value if sign else value


@given(st.integers(-(10**76) + 1, 10**76 - 1))
def test_numerics_of_any_size_are_exact(value: int) -> None:
    with decimal.localcontext(prec=100):
        batch = pa.record_batch({"total": pa.array([Decimal(value)], _WIDE)})
    assert _numeric_of(_kernel.copy_rows(batch, ["numeric"])[6:]) == Decimal(value)


@pytest.mark.parametrize(
    "value,arrow,sql,reason",
    [
        (2**31, pa.int64(), "integer", "2147483648 is out of the range of integer"),
        (-(2**15) - 1, pa.int32(), "smallint", "-32769 is out of the range of smallint"),
        (2**63, pa.uint64(), "bigint", "9223372036854775808 is out of the range of bigint"),
        ("a\0b", pa.string(), "text", "a NUL at byte 1"),
        (["a", "b\0"], pa.list_(pa.string()), "text[]", "element 2: a NUL at byte 1"),
        (["abc"], pa.list_(pa.string()), "varchar(2)[]", "element 1: 3 characters, the column has 2"),
        (2**62, pa.int64(), "timestamp", "4611686018427387904 is out of the range of timestamp"),
        ("abc", pa.string(), "varchar(2)", "3 characters, the column has 2"),
        ('{"a": "\\u0000"}', pa.string(), "jsonb", "an escaped NUL at byte 7"),
    ],
)
def test_a_value_that_does_not_fit_names_its_place(value: object, arrow: pa.DataType, sql: str, reason: str) -> None:
    batch = pa.record_batch({"before": pa.array([1, 2]), "it": pa.array([None, value], arrow)})
    with pytest.raises(_kernel.RowError) as caught:
        _kernel.copy_rows(batch, ["bigint", sql])
    assert (caught.value.row, caught.value.column) == (1, "it")
    assert reason in caught.value.reason
    assert reason in str(caught.value)


@pytest.mark.parametrize("types", [[], ["text"], ["hstore", "text"], ["bigint", "bytea"], ["int8range", "text[]"]])
def test_types_have_to_fit_the_columns(types: list[str]) -> None:
    batch = pa.record_batch({"number": [1], "name": ["a"]})
    with pytest.raises(ValueError, match=r"columns|type"):
        _kernel.copy_rows(batch, types)


@given(st.lists(_TEXT))
def test_a_slice_is_copied_as_its_own_rows(texts: list[str]) -> None:
    batch = pa.record_batch({"name": pa.array(["before", *texts], pa.string())}).slice(1)
    fields = [text.encode() for text in texts]
    expected = b"".join(b"\0\1" + len(field).to_bytes(4, "big") + field for field in fields)
    assert _kernel.copy_rows(batch, ["text"]) == expected
