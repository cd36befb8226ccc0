"""Clusters of small workers: starting one, bringing a running one near to that, and finding what is wrong.

Covers: :class:`~safeframe.deploy.local_cluster.LocalCluster`, ``tune`` and ``doctor``,
and the settings that all three share.
Does not cover: what recipes learn of a cluster before they plan (:mod:`safeframe.sizing`).
"""
