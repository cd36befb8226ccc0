"""Which shard each row of a partition belongs to."""
