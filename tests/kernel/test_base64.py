"""Base64 of whole columns."""

from __future__ import annotations

import base64

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurora_ingest import _kernel

VALUES = st.lists(st.none() | st.binary(max_size=40))


def encoded(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


@given(VALUES, st.integers(0, 5))
def test_values_are_those_of_the_standard_library(values: list[bytes | None], start: int) -> None:
    made = pa.array(_kernel.base64_encode_array(pa.array(values, pa.binary()).slice(start)))
    assert made.type == pa.string()
    assert made.to_pylist() == [encoded(value) for value in values[start:]]


@given(st.lists(st.none() | VALUES), st.integers(0, 3))
def test_lists_keep_their_shape(lists: list[list[bytes | None] | None], start: int) -> None:
    made = pa.array(_kernel.base64_encode_array(pa.array(lists, pa.list_(pa.binary())).slice(start)))
    expected = [None if some is None else [encoded(value) for value in some] for some in lists[start:]]
    assert made.to_pylist() == expected


@pytest.mark.parametrize("other", [pa.array([1]), pa.array(["text"]), pa.array([["text"]])])
def test_other_types_are_refused(other: pa.Array) -> None:
    with pytest.raises(TypeError, match="expected an array of binary or of lists of binary, got"):
        _kernel.base64_encode_array(other)
