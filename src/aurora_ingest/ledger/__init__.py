"""Ledgers as plain values: sequences, checkpoints, ranges, ids and headers; no storage, no Beam."""
