"""The staged exchange: rows pass through files into shards."""
