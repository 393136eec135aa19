"""The arguments and checks that a play gives a deploy, as the types of the deploy's kind.

``read_constants`` reads them before any host's values are known: values that hold a template are left out, and every
mistake found is one for all hosts. ``read_spec`` and ``read_checks`` read the others with the values of the host that
their complaints are about.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from pydantic import ValidationError

from agent.checks.spec import CheckSpec, check_of, model_of
from agent.deploys.spec import Spec, spec_class
from agent.domain.check import Check
from agent.domain.fault import KeyPath, Mistake
from agent.inventory import validation
from agent.inventory.complaint import Complained, Complaints
from agent.inventory.site import Mention
from agent.system.document import List, Node, Value, key_text, plain


def read_spec(mention: Mention, arguments: Value, complaints: Complaints) -> Spec:
    """``arguments`` as the spec of the deploy's kind. Raises Complained."""
    model = spec_class(mention.kind)
    try:
        return model.model_validate(model.from_short({} if arguments is None else _keyed(arguments)))
    except ValidationError as error:
        rendered = bool(complaints.host)
        validation.complain(error, model, mention.arguments, complaints, path=mention.path, rendered=rendered)
    raise Complained


def read_checks(mention: Mention, entries: Value, complaints: Complaints) -> tuple[Check, ...]:
    """``entries`` as health checks. Entries that are templates are left out where ``complaints`` are about no host.
    Raises Complained."""
    path = (*mention.path[:-1], "health")
    if entries is None:
        return ()
    if not isinstance(entries, list):
        complaints.refuse(mention.health.position, path, "a list of checks is expected", "begin each with `- http: …`")
    nodes = mention.health.items if isinstance(mention.health, List) else ()
    found: list[Check | None] = []
    for index, entry in enumerate(entries):
        node = nodes[index] if index < len(nodes) else mention.health
        if complaints.host or not validation.is_template(node):
            found.append(_check(mention, entry, node, (*path, index), complaints))
    if None in found:
        raise Complained
    return tuple(check for check in found if check is not None)


def _check(mention: Mention, entry: Value, node: Node, path: KeyPath, complaints: Complaints) -> Check | None:
    """``entry`` as one health check; None after a complaint."""
    entry = _keyed(entry)
    with complaints.of(node.position, path):
        if not isinstance(entry, dict):
            raise Mistake("a check is a mapping", "write one like `{tcp: 127.0.0.1:25}`")
        model: type[CheckSpec] = model_of({str(key): value for key, value in entry.items()})
        try:
            return check_of(mention.name, model.model_validate(entry))
        except ValidationError as error:
            rendered = bool(complaints.host)
            validation.complain(error, model, node, complaints, path=path, rendered=rendered)
    return None


def read_constants(mention: Mention, complaints: Complaints) -> Mention | None:
    """``mention`` with its arguments and its checks read where they hold no template: they are the same for every
    host. None after a complaint."""
    own, spec, checks = Complaints(), None, tuple[Check, ...]()
    with suppress(Complained):
        if mention.source is None and not validation.is_template(mention.arguments):
            spec = read_spec(mention, plain(mention.arguments), own)
    with suppress(Complained):
        if not validation.is_template(mention.health):
            checks = read_checks(mention, plain(mention.health), own)
    complaints.include(own)
    if own:
        return None
    return replace(
        mention,
        spec=None if validation.contains_template(mention.arguments) else spec,
        checks=None if validation.contains_template(mention.health) else checks,
    )


def _keyed(value: Value) -> Value:
    """``value`` with every key as a string, as deploys expect them."""
    if isinstance(value, dict):
        return {key_text(key): _keyed(item) for key, item in value.items()}
    return [_keyed(item) for item in value] if isinstance(value, list) else value
