"""``python -m tests.docs`` writes the generated tables of docs/ anew, from the models and the command line."""

from __future__ import annotations

import sys

from tests.docs.tables import PAGES, refreshed

for page in PAGES:
    text = page.read_text()
    new = refreshed(text)
    if new != text:
        page.write_text(new)
        sys.stdout.write(f"wrote {page.name}\n")
