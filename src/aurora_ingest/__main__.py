"""`python -m aurora_ingest`, the same as the console script."""

from __future__ import annotations

from aurora_ingest.cli import main

main()
