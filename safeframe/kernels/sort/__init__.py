"""The order of rows."""
