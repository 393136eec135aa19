"""Mistakes that show only when files are compared with each other, or read as code."""
