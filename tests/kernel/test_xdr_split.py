"""Values that stand one after another, cut apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stellar_sdk import xdr

from aurora_ingest import _kernel

_MEMOS = st.one_of(
    st.just(xdr.Memo(xdr.MemoType.MEMO_NONE)),
    st.binary(max_size=28).map(lambda text: xdr.Memo(xdr.MemoType.MEMO_TEXT, text=text)),
    st.integers(0, 2**64 - 1).map(lambda n: xdr.Memo(xdr.MemoType.MEMO_ID, id=xdr.Uint64(n))),
)


@given(st.lists(_MEMOS.map(lambda memo: memo.to_xdr_bytes()), max_size=8))
def test_values_come_apart_as_they_were_put_together(memos: list[bytes]) -> None:
    assert _kernel.xdr_split("Memo", b"".join(memos)) == memos


def test_what_is_not_whole_is_refused() -> None:
    memo = xdr.Memo(xdr.MemoType.MEMO_TEXT, text=b"abc").to_xdr_bytes()
    for data in (memo + memo[:-1], memo + b"\0", b"\0\0\0\x09" + memo):
        with pytest.raises(_kernel.XdrError, match="Memo"):
            _kernel.xdr_split("Memo", data)
    with pytest.raises(KeyError, match="there is no XDR type Nothing"):
        _kernel.xdr_split("Nothing", memo)
