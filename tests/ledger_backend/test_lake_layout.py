"""Names of SEP-54: the examples of the standard, Galexie's real names, and names taken apart again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurora_ingest.errors import LakeConflictError, UsageError
from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.ledger_backend.lake_layout import LakeLayout, Manifest, infer_layout
from ledger_backend.origins import LAKES

_LEDGERS = st.integers(2, 2**32 - 1)


def test_the_example_of_the_standard() -> None:
    file = LakeLayout(1, 64000).file_of(53312000)
    assert file.path == "FCD285FF--53312000-53375999/FCD285FF--53312000.xdr.zst"


@pytest.mark.parametrize("lake", LAKES, ids=lambda lake: lake.name)
def test_names_are_those_of_real_files(shared_data: Path, lake: object) -> None:
    folder = shared_data / "lakes" / lake.name  # type: ignore[attr-defined]
    manifest = Manifest.parse((folder / ".config.json").read_bytes(), "manifest")
    paths = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.xdr.zst"))
    expected = list(manifest.layout.files(lake.ledgers))  # type: ignore[attr-defined]
    assert sorted(file.path for file in expected) == paths
    assert sorted(paths, reverse=True) == [file.path for file in expected], "names descend as ledgers ascend"
    assert [manifest.layout.parse(file.path) for file in expected] == expected
    assert manifest.render() == (folder / ".config.json").read_bytes(), "as Galexie writes it"


@given(_LEDGERS, st.integers(1, 1000), st.integers(1, 70000), st.sampled_from(["zst", "zstd"]), st.sampled_from([0, 2]))
def test_a_name_taken_apart_is_the_file_again(
    ledger: int, per_file: int, per_partition: int, extension: str, start: int
) -> None:
    layout = LakeLayout(per_file, per_partition, extension, start)
    file = layout.file_of(ledger)
    assert file.first <= ledger <= file.last
    assert file.last - file.first + 1 == per_file
    assert file.first % per_file == 0
    assert layout.parse(file.path) == file
    assert ("/" in file.path) == (per_partition > 1)
    if file.last < 2**32:
        assert layout.parse(file.path.replace(".xdr.", ".txt.")) is None


@given(st.integers(2, 10**9), st.integers(0, 500), st.integers(1, 70))
def test_files_of_a_range_hold_it_whole(first: int, more: int, per_file: int) -> None:
    ledgers = LedgerRange(first, first + more)
    files = list(LakeLayout(per_file, 10).files(ledgers))
    assert [n for file in files for n in range(file.first, file.last + 1) if n in ledgers] == list(ledgers)


def test_the_first_file_is_named_from_0_or_from_2() -> None:
    layout = LakeLayout(64, 10)
    file = layout.file_of(2)
    assert [each.path for each in layout.names_of(file)] == [
        "FFFFFFFF--0-639/FFFFFFFF--0-63.xdr.zst",
        "FFFFFFFF--0-639/FFFFFFFD--2-63.xdr.zst",
    ]
    assert file.ledgers == LedgerRange(2, 63)
    assert layout.parse("FFFFFFFF--0-639/FFFFFFFD--2-63.xdr.zst") is not None
    assert LakeLayout(64, 10, partitions_from=2).file_of(70).path == "FFFFFFFD--2-639/FFFFFFBF--64-127.xdr.zst"
    assert LakeLayout(64, 10, partitions_from=2).file_of(640).path.startswith("FFFFFD7F--640-1279/")


@pytest.mark.parametrize(
    "layout", [LakeLayout(1, 64000), LakeLayout(64, 2), LakeLayout(64, 1), LakeLayout(7, 3, "zstd")]
)
def test_a_layout_is_inferred_from_names(layout: LakeLayout) -> None:
    files = [layout.file_of(ledger).path for ledger in (1000, 1001, 1007, 1100)]
    folders = [path.partition("/")[0] for path in files if "/" in path]
    assert infer_layout([*folders, "other"], ["notes.txt", *files], "lake") == layout
    assert infer_layout(folders, [], "lake") is None


def test_names_of_two_layouts_are_refused() -> None:
    files = [LakeLayout(1, 10).file_of(9).path, LakeLayout(5, 2).file_of(19).path]
    with pytest.raises(LakeConflictError, match="no single layout"):
        infer_layout([path.partition("/")[0] for path in files], files, "lake")
    with pytest.raises(LakeConflictError, match="not a file of a lake of 1 ledgers per file"):
        LakeLayout(1, 10).parse(LakeLayout(1, 20).file_of(15).path)


def test_manifests_that_are_none(tmp_path: Path) -> None:
    for broken in (b"", b"[]", b'{"ledgersPerBatch": 1}', b'{"ledgersPerBatch": 0, "batchesPerPartition": 1}', b"\xff"):
        with pytest.raises(LakeConflictError, match="not the manifest of a data lake"):
            Manifest.parse(broken, "there")
    other = {"ledgersPerBatch": 1, "batchesPerPartition": 1, "compression": "gzip"}
    with pytest.raises(LakeConflictError, match="compressed with 'gzip'"):
        Manifest.parse(json.dumps(other).encode(), "there")


def test_a_manifest_of_the_standard_names_the_path() -> None:
    sizes = {"compression": "zstd", "ledgersPerBatch": 2, "batchesPerPartition": 3}
    text = json.dumps({"networkPassphrase": "n", "ledgersPath": "a/b/", **sizes})
    assert Manifest.parse(text.encode(), "there") == Manifest("n", LakeLayout(2, 3), "a/b")


def test_layouts_that_cannot_be() -> None:
    for sizes in ((0, 1), (1, 0), (-1, 5)):
        with pytest.raises(UsageError):
            LakeLayout(*sizes)
    with pytest.raises(UsageError):
        LakeLayout(1, 1, "gz")
