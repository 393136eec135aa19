"""The way down to a folder, as deploys know it; it lives in ``system.descent``, for the ledger goes it too."""

from agent.system.descent import SYSTEM, Base, Refused, folder

__all__ = ["SYSTEM", "Base", "Refused", "folder"]
