"""From a frame and its key columns to a plan of finding rows whose key was met before."""
