"""Hostwright: turns a bare Linux machine into what a Git repository says it is, and keeps it so."""

__version__ = "0.1.0"
