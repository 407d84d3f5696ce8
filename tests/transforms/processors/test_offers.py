from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aurora_ingest.transforms.processors.offers import offer_rows
from entry_batches import entries


@given(st.integers(1, 2**31 - 1), st.integers(1, 2**31 - 1))
def test_the_price_column_is_the_nearest_float_of_the_exact_fraction(n: int, d: int) -> None:
    (row,) = offer_rows(entries("offer", {"offer_id": 7, "price_n": n, "price_d": d})).to_pylist()
    assert (row["pricen"], row["priced"], row["price"], row["deleted"]) == (n, d, n / d, False)


def test_assets_are_base64_of_their_xdr() -> None:
    offer = {"selling_asset_base64": "AAAAAA==", "buying_asset_base64": "AAAAAVVTRAA=", "price_n": 1, "price_d": 1}
    (row,) = offer_rows(entries("offer", offer)).to_pylist()
    assert (row["selling_asset"], row["buying_asset"]) == ("AAAAAA==", "AAAAAVVTRAA=")
