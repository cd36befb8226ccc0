"""Groups the items of a bag by key."""
