"""The grammar of a host's name, which is an inventory's, too."""

from __future__ import annotations

import re
from typing import Final

HOST_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")
HOST_GRAMMAR: Final = (
    "a host name begins with a letter or digit and goes on with letters, digits, dots, _ and -, 253 at most"
)
