from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import given

from aurora_ingest.errors import ContradictoryChangesError, StateError
from aurora_ingest.ledger.change import CREATED, EVICTED, KINDS, REMOVED, RESTORED, UPDATED, place_of
from aurora_ingest.ledger.compaction import compact
from kernel.change_batches import change_batch, setting_key

KEYS = [setting_key(number) for number in range(3)]
IMAGES = [bytes([letter]) for letter in b"abcd"]


def legal(kind: str, pre: bytes | None, post: bytes | None, *, seen: bool, now: bytes | None) -> bool:
    """The rules in words of one change at a time; `now` is the entry that the ledger's changes left so far."""
    shaped = {
        CREATED: pre is None and post is not None,
        UPDATED: post is not None,
        RESTORED: post is not None,
        REMOVED: post is None,
        EVICTED: post is None,
    }[kind]
    if not shaped or not seen:
        return shaped
    if kind == CREATED:
        return now is None
    if kind in (UPDATED, REMOVED) and now is None:
        return False
    return pre is None or pre == now


changes = st.lists(
    st.tuples(
        st.sampled_from(KINDS),
        st.sampled_from(KEYS),
        st.none() | st.sampled_from(IMAGES),
        st.none() | st.sampled_from(IMAGES),
    ),
    max_size=12,
)


@st.composite
def legal_changes(draw: st.DrawFn) -> list[tuple[str, bytes, bytes | None, bytes | None]]:
    """Changes that may follow on each other, grown one by one."""
    now: dict[bytes, bytes | None] = {}
    made = []
    for _ in range(draw(st.integers(0, 25))):
        key = draw(st.sampled_from(KEYS))
        seen, held = key in now, now.get(key)
        pre = draw(st.sampled_from([None, held] if seen else [None, *IMAGES]))
        post = draw(st.none() | st.sampled_from(IMAGES))
        kinds = [kind for kind in KINDS if legal(kind, pre, post, seen=seen, now=held)]
        if kinds:
            made.append((draw(st.sampled_from(kinds)), key, pre, post))
            now[key] = post
    return made


def applied(state: dict[bytes, bytes], rows: list[tuple[str, bytes, bytes | None, bytes | None]]) -> dict[bytes, bytes]:
    state = dict(state)
    for _, key, _, post in rows:
        if post is None:
            state.pop(key, None)
        else:
            state[key] = post
    return state


@given(legal_changes(), st.dictionaries(st.sampled_from(KEYS), st.sampled_from(IMAGES)))
def test_net_changes_do_what_the_changes_do_one_by_one(
    rows: list[tuple[str, bytes, bytes | None, bytes | None]], others: dict[bytes, bytes]
) -> None:
    first = {key: (kind, pre) for kind, key, pre, _ in reversed(rows)}
    state = {key: image for key, image in others.items() if first.get(key, ("",))[0] != CREATED}
    state |= {key: pre for key, (_, pre) in first.items() if pre is not None}
    net = compact(change_batch(rows)).to_pylist()
    folded = [("", row["ledger_key"], row["pre_xdr"], row["post_xdr"]) for row in net]
    assert applied(state, folded) == applied(state, rows)
    assert [row["ledger_key"] for row in net] == sorted({row["ledger_key"] for row in net})
    for row in net:
        kind, pre = first[row["ledger_key"]]
        assert row["pre_xdr"] == pre
        assert row["pre_known"] == (kind == CREATED or pre is not None)
        places = [place for place, change in enumerate(rows) if change[1] == row["ledger_key"]]
        assert (row["first_change"], row["last_change"]) == (places[0], places[-1])
        assert row["evicted"] == any(rows[place][0] == EVICTED for place in places)
        assert row["restored"] == any(rows[place][0] == RESTORED for place in places)
    nothing = set(first) - {row["ledger_key"] for row in net}
    assert all(first[key][0] == CREATED for key in nothing)


@given(changes)
def test_the_first_change_that_cannot_be_is_named_with_the_one_before(
    rows: list[tuple[str, bytes, bytes | None, bytes | None]],
) -> None:
    now: dict[bytes, bytes | None] = {}
    last: dict[bytes, int] = {}
    expected = None
    for place, (kind, key, pre, post) in enumerate(rows):
        if not legal(kind, pre, post, seen=key in now, now=now.get(key)):
            expected = (last.get(key, place), place)
            break
        now[key], last[key] = post, place
    if expected is None:
        compact(change_batch(rows))
        return
    with pytest.raises(ContradictoryChangesError) as caught:
        compact(change_batch(rows))
    assert (caught.value.first, caught.value.second) == expected


def test_a_second_ledger_is_refused() -> None:
    rows: list[Any] = [(CREATED, KEYS[0], None, b"a")], [(REMOVED, KEYS[0], b"a", None)]
    both = pa.Table.from_batches([change_batch(rows[0], ledger=7), change_batch(rows[1], ledger=8)])
    with pytest.raises(StateError, match="ledgers 7 and 8"):
        compact(both.combine_chunks().to_batches()[0])


def test_places_are_told_in_words() -> None:
    batch = change_batch([(CREATED, KEYS[0], None, b"a"), (CREATED, KEYS[0], None, b"b")])
    columns = {"phase": ["fee", "operation"], "transaction_order": [None, 3], "operation_order": [None, 1]}
    batch = batch.drop_columns(["phase"])
    for name, values in columns.items():
        batch = batch.append_column(name, pa.array(values))
    assert str(place_of(batch, 1)) == "change 1 (operation, transaction 3, operation 1)"
    assert str(place_of(batch, 9)) == "change 9"
    with pytest.raises(ContradictoryChangesError, match=r"change 0 \(fee\), change 1 \(operation, transaction 3"):
        compact(batch)
