"""A browser for each file of tests, and the service over the small network as it was followed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser, expect, sync_playwright

import closed_network
from ui import followed_state
from ui.browsing import PATIENCE, Service, launched, serving

expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = launched(playwright)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sa.Engine]:
    """The small network, followed from ledger 64 to 80; tests that go on from there go on for all."""
    engine = closed_network.state_at(f"sqlite:///{tmp_path_factory.mktemp('followed')}/state.db")
    followed_state.follow(engine, range(64, 81))
    followed_state.verified(engine, 71)
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def service(followed: sa.Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(str(followed.url), tmp_path_factory.mktemp("service")) as running:
        yield running


@pytest.fixture
def alive(followed: sa.Engine) -> None:
    """All nodes have been heard of just now."""
    for name in followed_state.NODES:
        followed_state.silence(followed, name, 0.0)
