"""Plans and measurements as text and pictures."""
