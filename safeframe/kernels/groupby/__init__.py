"""Group-by of one partition: states of groups, merging them, and pandas' results of them."""
