"""Reading history archives: states, headers and buckets from several mirrors, proven by their hashes."""
