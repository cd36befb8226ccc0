"""Key statistics."""
