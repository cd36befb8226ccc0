"""Plans merges."""
