"""What is served over HTTP: how a node does, and, read-only, what the database holds."""
