"""Where staged files are, and who removes them."""
