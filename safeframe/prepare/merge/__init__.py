"""From two frames and the keys that are wanted to a plan of their merge."""
