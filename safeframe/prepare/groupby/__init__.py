"""Group-by: keys, columns, facts."""
