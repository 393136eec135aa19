"""Names in a config repo that more than one part of the agent knows."""

from __future__ import annotations

INVENTORIES = "inventories"
"""The folder that holds the inventories."""
