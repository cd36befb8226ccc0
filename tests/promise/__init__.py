"""The promise, tried on data that nobody chose: random frames, recipes and workers under limits of the kernel."""
