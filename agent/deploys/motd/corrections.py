"""motd: its one item turned into a correction, as ``files`` does with its items."""

from agent.deploys.files.corrections import corrections

__all__ = ["corrections"]
