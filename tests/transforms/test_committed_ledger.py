from __future__ import annotations

from typing import Any

import pytest
from apache_beam.coders import registry

import closed_network
from aurora_ingest.transforms.lead import CommittedLedger, CommittedLedgerCoder
from aurora_ingest.transforms.ledger_unit import LedgerUnitCoder


@pytest.mark.parametrize("leader", [True, False])
def test_a_committed_ledger_crosses_to_another_process(leader: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    unit = closed_network.units()[64]
    coder = registry.get_coder(CommittedLedger)
    assert isinstance(coder, CommittedLedgerCoder)
    ledger = CommittedLedger(64, leader, unit)
    encoded = coder.encode(ledger)
    back = coder.decode(encoded)
    assert (back.sequence, back.leader) == (64, leader)
    assert LedgerUnitCoder().encode(back.unit) == LedgerUnitCoder().encode(unit)

    def refuse(*_: Any) -> bytes:
        raise AssertionError("its size is told without encoding it")

    monkeypatch.setattr(LedgerUnitCoder, "encode", refuse)
    assert coder.estimate_size(ledger) > len(encoded) / 4
