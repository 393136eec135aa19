"""Mistakes that only show when files are held against each other, or that nobody would read."""
