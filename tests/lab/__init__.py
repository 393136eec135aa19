"""The test bed: real Debian hosts that boot in half a second. ``tests/lab/lab.py`` is its door."""
