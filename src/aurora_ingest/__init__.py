"""Ingestion of Stellar-family networks on Apache Beam."""

__version__ = "0.1.0"
