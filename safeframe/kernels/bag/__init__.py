"""Keys and values of bags."""
