"""Bars in the store: written, read, and every one that is missing found."""
