"""Plans sorts, indexes and shuffles."""
