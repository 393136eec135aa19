"""dotfiles: items turned into corrections, as ``files`` does with its items; each is carried out as its home's user."""

from agent.deploys.files.corrections import corrections, questions

__all__ = ["corrections", "questions"]
