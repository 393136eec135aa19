"""Mistakes that show only when files are compared with each other, and files that nobody reads."""
