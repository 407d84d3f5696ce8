"""The resources of the service, in the order in which they are asked."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter

from aurora_ingest.api.resources import ledgers, root

ROUTERS: Final[tuple[APIRouter, ...]] = (root.router, ledgers.router)
