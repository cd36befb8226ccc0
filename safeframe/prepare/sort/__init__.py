"""From a frame and its keys to a plan of its order."""
