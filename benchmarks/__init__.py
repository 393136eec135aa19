"""Measurements: two things compared in one run, never a figure alone."""
