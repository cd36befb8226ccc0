"""Finding rows whose key was met before."""
