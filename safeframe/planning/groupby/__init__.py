"""Group-by."""
