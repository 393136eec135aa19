"""Runs on a booted host, in the agent's environment, by ``serving``: one call of a ``Kind``."""

import base64

from agent.deploys.kind import kind_named
from agent.domain.ownership import LedgerEntry, Origin
from agent.errors import HostwrightError


def seen_as_json(seen):
    if seen is None:
        return None
    image = None if seen.image is None else base64.b64encode(seen.image).decode()
    return {"state": dict(seen.state), "image": image}


def entry_of(key, before, left):
    state, settled = (before or {}).get("state"), left != "unsettled"
    origin = Origin.CREATED if before is None else Origin.ADOPTED
    return LedgerEntry(key, "test", 0, origin, state, (left or {}).get("state") if settled else None, settled=settled)


def answer(order):
    kind = kind_named(order["keys"][0].partition(":")[0])
    key, before, left = order["keys"][0], order.get("before"), order.get("left")
    match order["call"]:
        case "look":
            return seen_as_json(kind.look(key.partition(":")[2]))
        case "changed":
            return kind.changed(left["state"], kind.look(key.partition(":")[2]))
        case "remove":
            entries = [entry_of(each, None, left) for each in order["keys"]]
            return dict(kind.remove(entries, purge=order["purge"], wanted=order["wanted"]))
        case "release":
            return kind.release(entry_of(key, None, left))
        case "restore":
            image = None if before["image"] is None else base64.b64decode(before["image"])
            try:
                kind.restore(entry_of(key, before, left), image)
            except HostwrightError as error:
                return f"{error.message}"
            return ""
