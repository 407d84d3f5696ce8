from __future__ import annotations

from aurora_ingest.transforms.processors.claimable_balance_claimants import claimable_balance_claimant_rows
from entry_batches import entries


def test_every_claimant_has_a_row_in_the_order_of_the_entry() -> None:
    def balance(name: str, ledger: int, *claimants: str) -> dict[str, object]:
        listed = [{"destination": claimant, "predicate_json": ""} for claimant in claimants]
        return {"balance_id": name, "last_modified_ledger": ledger, "claimants": listed}

    batch = entries("claimable_balance", balance("x", 3, "GB", "GA"), balance("y", 4), balance("z", 5, "GA"))
    expected = [("x", "GB", 3), ("x", "GA", 3), ("z", "GA", 5)]
    assert [tuple(row.values()) for row in claimable_balance_claimant_rows(batch).to_pylist()] == expected
    assert [tuple(row.values()) for row in claimable_balance_claimant_rows(batch.slice(1)).to_pylist()] == expected[2:]
