"""The page for people: its files, and the few facts that it needs and the service does not tell anyway."""

from __future__ import annotations

from fastapi import FastAPI

from aurora_ingest.api.ui.data import PageFacts
from aurora_ingest.api.ui.data import router as data_router
from aurora_ingest.api.ui.static_files import router as files_router


def mount(app: FastAPI) -> None:
    """Puts the page under ``/ui`` of the service; it is no part of what the OpenAPI document describes."""
    app.state.ui = PageFacts()
    app.include_router(data_router, prefix="/ui/data", include_in_schema=False)
    app.include_router(files_router, include_in_schema=False)
