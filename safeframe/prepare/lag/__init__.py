"""From a frame and the columns that are wanted to a plan of lag features."""
