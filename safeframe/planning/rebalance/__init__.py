"""Plans partitions of bounded, even bytes."""
