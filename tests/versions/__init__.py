"""The suite on every version that is promised, and what of dask's private names has changed.

``python -m tests.versions`` makes the environments; ``python -m tests.versions.canary`` looks at the dask of this one.
The first needs the standard library alone: it runs before anything is installed.
"""
