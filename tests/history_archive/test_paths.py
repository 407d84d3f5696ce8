"""Where an archive keeps its files."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurora_ingest.errors import UsageError
from aurora_ingest.history_archive.paths import CATEGORIES, bucket_path, checkpoint_path, is_hash
from aurora_ingest.network import UINT32_MAX

_ARCHIVE = Path(__file__).parents[1] / "data" / "standalone-accel"
_HASH = "2a4416e7f3e301c2fc1078dce0e1dd109b8ae6d3958942b91b447f24014a7b5c"


@pytest.mark.parametrize(
    "category,checkpoint,path",
    [
        ("history", 0x016F913F, "history/01/6f/91/history-016f913f.json"),
        ("ledger", 63, "ledger/00/00/00/ledger-0000003f.xdr.gz"),
        ("transactions", 0xFFFFFFFF, "transactions/ff/ff/ff/transactions-ffffffff.xdr.gz"),
        ("results", 8063, "results/00/00/1f/results-00001f7f.xdr.gz"),
        ("scp", 127, "scp/00/00/00/scp-0000007f.xdr.gz"),
    ],
)
def test_a_checkpoint_has_one_file_of_each_kind(category: str, checkpoint: int, path: str) -> None:
    assert checkpoint_path(category, checkpoint) == path


@given(st.sampled_from(sorted(CATEGORIES)), st.integers(0, UINT32_MAX))
def test_a_path_tells_its_checkpoint(category: str, checkpoint: int) -> None:
    folder, *bytes_of, name = checkpoint_path(category, checkpoint).split("/")
    digits = name.split(".")[0].rpartition("-")[2]
    assert folder == category
    assert int(digits, 16) == checkpoint
    assert "".join(bytes_of) == digits[:6]


def test_a_bucket_lies_by_its_hash() -> None:
    assert bucket_path(_HASH) == f"bucket/2a/44/16/bucket-{_HASH}.xdr.gz"


def test_a_real_archive_is_laid_out_so() -> None:
    found = {str(path.relative_to(_ARCHIVE)) for path in (_ARCHIVE / "bucket").rglob("*.gz")}
    assert found == {bucket_path(Path(path).name[len("bucket-") : -len(".xdr.gz")]) for path in found}
    ledgers = {str(path.relative_to(_ARCHIVE)) for path in (_ARCHIVE / "ledger").rglob("*.gz")}
    assert ledgers == {checkpoint_path("ledger", checkpoint) for checkpoint in range(7, 96, 8)}


@pytest.mark.parametrize(
    "name", ["", "ab", _HASH.upper(), _HASH[:-1], f"{_HASH}0", f"../{_HASH[3:]}", f"{_HASH[:-1]}g"]
)
def test_what_is_no_hash_has_no_path(name: str) -> None:
    assert not is_hash(name)
    with pytest.raises(UsageError, match="is not the name of a bucket"):
        bucket_path(name)


@given(st.binary(min_size=32, max_size=32))
def test_every_32_bytes_are_a_hash(data: bytes) -> None:
    assert is_hash(data.hex())
