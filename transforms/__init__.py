"""Every PTransform of aurora-ingest; a transform's name is a verb."""
