"""A browser for each file of tests, and the service over the small network as it was followed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser, expect, sync_playwright

import closed_network
from aurora_ingest.db.engine import connect
from ui import followed_state
from ui.browsing import PATIENCE, Service, launched, serving

expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = launched(playwright)
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def followed_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small network, followed from ledger 64 to 80, with the history of its order books."""
    path = tmp_path_factory.mktemp("followed") / "state.db"
    engine = closed_network.state_at(f"sqlite:///{path}")
    followed_state.follow(engine, range(64, 81))
    followed_state.write_books(engine, 64, 80)
    followed_state.verified(engine, 71)
    engine.dispose()
    return path


@pytest.fixture(scope="module")
def followed(followed_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[sa.Engine]:
    """A copy of it; tests that go on from there go on for all of their file."""
    path = tmp_path_factory.mktemp("copy") / "state.db"
    shutil.copy(followed_file, path)
    engine = connect(f"sqlite:///{path}")
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def service(followed: sa.Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(str(followed.url), tmp_path_factory.mktemp("service")) as running:
        yield running


@pytest.fixture
def alive(followed: sa.Engine) -> None:
    """No node falls silent while a test goes on, however slowly."""
    for name in followed_state.NODES:
        followed_state.silence(followed, name, -3600.0)
