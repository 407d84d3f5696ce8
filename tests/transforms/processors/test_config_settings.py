from __future__ import annotations

from aurora_ingest.transforms.processors.config_settings import config_setting_rows
from entry_batches import entries


def test_a_setting_tells_the_checkpoint_it_was_read_at() -> None:
    setting = {"config_setting_id": 13, "name": "eviction_iterator", "value_xdr": b"x", "value_json": "{}"}
    (row,) = config_setting_rows(entries("config_setting", setting), 255).to_pylist()
    expected = (13, "eviction_iterator", b"x", "{}", 255)
    assert tuple(row[name] for name in ("id", "name", "value_xdr", "value", "as_of_checkpoint")) == expected
