from __future__ import annotations

import json

from aurora_ingest.transforms.processors.claimable_balances import claimable_balance_rows
from entry_batches import entries


def claimant(destination: str, predicate: str) -> dict[str, str]:
    return {"destination": destination, "predicate_json": predicate}


def test_both_forms_of_the_predicates_stand_side_by_side() -> None:
    horizon = '[{"predicate": {"unconditional": true}, "destination": "GA"}]'
    balance = {
        "balance_id": "00" * 36,
        "claimants": [claimant("GA", '"unconditional"'), claimant("GB", '{"before_relative_time":"5"}')],
        "claimants_json": horizon,
        "amount": 10,
    }
    rows = claimable_balance_rows(entries("claimable_balance", balance, {"claimants": []})).to_pylist()
    assert rows[0]["claimants"] == horizon
    assert json.loads(rows[0]["predicates"]) == ["unconditional", {"before_relative_time": "5"}]
    assert (rows[0]["id"], rows[0]["amount"], rows[0]["flags"]) == ("00" * 36, 10, 0)
    assert json.loads(rows[1]["predicates"]) == []


def test_a_slice_of_a_batch_reads_its_own_claimants() -> None:
    batch = entries("claimable_balance", *({"claimants": [claimant("G", f'"{n}"')]} for n in "abc"))
    rows = claimable_balance_rows(batch.slice(1)).to_pylist()
    assert [json.loads(row["predicates"]) for row in rows] == [["b"], ["c"]]
