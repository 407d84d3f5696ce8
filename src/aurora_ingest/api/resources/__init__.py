"""One file per resource: its addresses, its parameters, its documents."""
