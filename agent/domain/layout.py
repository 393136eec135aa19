"""Names in a config repo that more than one part of the agent knows: its folders, and the grammar of host names."""

from __future__ import annotations

import re
from typing import Final

INVENTORIES = "inventories"
"""The folder that holds the inventories."""

HOST_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")
"""The grammar of a host's name, which is an inventory's, too."""
HOST_GRAMMAR: Final = (
    "a host name begins with a letter or digit and goes on with letters, digits, dots, _ and -, 253 at most"
)
