"""Secrets: their values, on hosts that may read them and for the people who write them."""
