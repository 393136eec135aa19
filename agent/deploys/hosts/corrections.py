"""hosts: its items turned into corrections, as ``files`` does with its items."""

from agent.deploys.files.corrections import corrections, questions

__all__ = ["corrections", "questions"]
