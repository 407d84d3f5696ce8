"""Buckets of two emulators, and an address of a test's own in each."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from aurora_ingest.object_store.store import joined
from buckets import fake_gcs, moto_s3

_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def gs() -> Iterator[str]:
    """Address of a bucket in fake-gcs-server."""
    with fake_gcs("aurora-tests"):
        yield "gs://aurora-tests"


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """Address of a bucket in moto."""
    with moto_s3("aurora-tests") as address:
        yield address


@pytest.fixture(params=["gs", "s3"])
def bucket(request: pytest.FixtureRequest) -> str:
    """An address in a bucket that no other test uses."""
    address: str = request.getfixturevalue(request.param)
    return joined(address, f"test-{next(_NUMBERS)}")


@pytest.fixture(params=["gs", "s3", "file"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An address that no other test uses, in a bucket or on the disk."""
    if request.param == "file":
        return str(tmp_path / "place")
    address: str = request.getfixturevalue(request.param)
    return joined(address, f"test-{next(_NUMBERS)}")
