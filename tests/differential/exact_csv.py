"""PostgreSQL's COPY CSV read exactly: an unquoted empty field is NULL, a quoted one is the empty string."""

from __future__ import annotations

import io
import re
from pathlib import Path

import zstandard

Value = str | None
_FIELD = re.compile(r'(?:"((?:[^"]|"")*)"|([^",\n]*))(,|\n)')


def read_csv(path: Path) -> tuple[tuple[str, ...], list[tuple[Value, ...]]]:
    """Returns the header and the rows of one zstd file."""
    with path.open("rb") as file:
        text = zstandard.ZstdDecompressor().stream_reader(file).read().decode()
    return parse_csv(text)


def parse_csv(text: str) -> tuple[tuple[str, ...], list[tuple[Value, ...]]]:
    """Returns the header and the rows; a text that is no CSV raises ValueError."""
    if '"' not in text:
        return _parse_unquoted(text)
    rows: list[tuple[Value, ...]] = []
    row: list[Value] = []
    at = 0
    for match in _FIELD.finditer(text):
        if match.start() != at:
            break
        at = match.end()
        quoted, plain, end = match.groups()
        row.append(quoted.replace('""', '"') if quoted is not None else plain or None)
        if end == "\n":
            rows.append(tuple(row))
            row = []
    if at != len(text) or row:
        message = f"no CSV from character {at} on"
        raise ValueError(message)
    header, *rows = rows
    return tuple(str(name) for name in header), rows


def _parse_unquoted(text: str) -> tuple[tuple[str, ...], list[tuple[Value, ...]]]:
    lines = [tuple(field or None for field in line.rstrip("\n").split(",")) for line in io.StringIO(text)]
    return tuple(str(name) for name in lines[0]), lines[1:]
