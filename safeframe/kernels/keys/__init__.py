"""Keys as codes, hashes and counts."""
