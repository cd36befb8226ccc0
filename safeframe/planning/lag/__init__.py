"""Plans columns shifted within groups."""
