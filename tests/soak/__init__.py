"""Hundreds of recipes in one cluster: nothing is kept of what is done."""
