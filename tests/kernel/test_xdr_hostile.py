"""Hostile XDR is refused, or read with flat memory, whatever it announces and however deep it goes."""

from __future__ import annotations

import resource
import sys
import threading
from collections.abc import Callable

import pytest

from aurora_ingest import _kernel
from kernel.xdr_hostile import NESTED, VOID, contract_data_key, nested_vec, words

LIMIT = 1500
DEEP = 5_000_000
SMALL_STACK = 128 << 10


def on_small_stack(read: Callable[..., object], *arguments: object) -> str:
    """Calls the kernel on a thread with a small stack; returns the text of its XdrError, or "accepted"."""
    answers: list[str] = []

    def work() -> None:
        try:
            read(*arguments)
        except _kernel.XdrError as error:
            answers.append(str(error))
        else:
            answers.append("accepted")

    before = threading.stack_size(SMALL_STACK)
    try:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    return answers[0]


def resident_peak() -> int:
    """Returns the largest resident memory of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


@pytest.mark.parametrize("shape", NESTED)
def test_nesting_is_counted_and_needs_no_stack(shape: str) -> None:
    name, build = NESTED[shape]
    deepest, too_deep, absurd = build(LIMIT), build(LIMIT + 1), build(DEEP)
    for read in (_kernel.xdr_validate, _kernel.xdr_to_json):
        assert on_small_stack(read, name, deepest) == "accepted"
        for value in (too_deep, absurd):
            assert "nested too deeply" in on_small_stack(read, name, value)


@pytest.mark.parametrize("shape", ["vec", "map", "instance"])
def test_sort_keys_follow_the_same_limit(shape: str) -> None:
    build = NESTED[shape][1]
    assert on_small_stack(_kernel.sort_key, contract_data_key(build(LIMIT))) == "accepted"
    for levels in (LIMIT + 1, DEEP):
        assert "nested too deeply" in on_small_stack(_kernel.sort_key, contract_data_key(build(levels)))


def test_the_caller_may_ask_for_less_depth() -> None:
    _kernel.xdr_validate("SCVal", nested_vec(10), max_depth=10)
    with pytest.raises(_kernel.XdrError, match="nested too deeply"):
        _kernel.xdr_validate("SCVal", nested_vec(11), max_depth=10)


@pytest.mark.parametrize(
    "name,value,reason",
    [
        ("SCVal", words(16, 1, 0xFFFF_FFFF), "truncated"),
        ("SCVal", words(17, 1, 0xFFFF_FFFF), "truncated"),
        ("SCVal", words(17, 1, 0x7FFF_FFFF) + bytes(64), "truncated"),
        ("SCVal", words(13, 0xFFFF_FFFF), "truncated"),
        ("SCVal", words(13, 0xFFFF_FFFD) + bytes(8), "truncated"),
        ("SCVal", words(14, 0xFFFF_FFFF), "truncated"),
        ("SCVal", words(15, 33) + bytes(36), "longer than its type allows"),
        ("LedgerEntryChanges", words(0xFFFF_FFFF), "truncated"),
        ("DataValue", words(65) + bytes(68), "longer than its type allows"),
        ("SCVal", words(16, 2, 0), "neither 0 nor 1"),
        ("SCVal", words(0, 2), "neither 0 nor 1"),
        ("SCVal", words(23), "not a member of the enum"),
        ("Asset", words(3), "not an arm of the union"),
        ("ExtensionPoint", words(1), "not an arm of the union"),
        ("SCVal", words(13, 1) + b"a\0\0\1", "padding is not zero"),
        ("SCVal", VOID + VOID, "bytes that belong to no value"),
        ("SCVal", b"", "truncated"),
    ],
)
def test_each_fault_is_told_with_its_place(name: str, value: bytes, reason: str) -> None:
    for read in (_kernel.xdr_validate, _kernel.xdr_to_json):
        with pytest.raises(_kernel.XdrError, match=reason) as caught:
            read(name, value)
        assert 0 <= caught.value.offset <= len(value)


def test_a_vec_of_60_megabytes_is_read_with_flat_memory() -> None:
    elements = 15_000_000
    value = words(16, 1, elements) + VOID * elements
    before = resident_peak()
    _kernel.xdr_validate("SCVal", value)
    with pytest.raises(_kernel.XdrError, match="truncated"):
        _kernel.xdr_validate("SCVal", value[:-1])
    assert resident_peak() - before < 16 << 20
    assert len(_kernel.sort_key(contract_data_key(value))) == 5 * elements + 4 + 4 + 32 + 4 + 1 + 1 + 4
