"""Where ledgers come from: data lakes, meta streams, stellar-core's database, history archives."""
