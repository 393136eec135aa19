"""Providers: servers that this host asks for the values of secrets, each by its documented HTTP API."""
