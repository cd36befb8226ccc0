"""Plans finding rows whose key was met before."""
