"""Providers: servers that this host asks for the values of secrets, each through its documented HTTP API."""
