"""The arguments and checks that a play gives a deploy, as the types of the deploy's kind.

``read_constants`` reads them before any host's values are known: values that hold a template are left out, and every
mistake found is one for all hosts. ``ArgumentReader`` reads the others with one host's values filled in.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

from pydantic import BaseModel, ValidationError

from agent.checks.spec import CheckSpec, check_of, model_of
from agent.deploys import catalogue
from agent.deploys.spec import Spec
from agent.domain.check import Check
from agent.domain.fault import Mistake, Path
from agent.inventory import validation
from agent.inventory.complaint import Complaints
from agent.inventory.site import Mention
from agent.system.document import key_text
from agent.system.yaml import List, Node, Value, plain


class Complained(Exception):
    """A value is wrong, and the complaint about it has been added."""


@dataclass(frozen=True, slots=True)
class ArgumentReader:
    """``host``: the host whose values are filled in; empty: nothing is rendered yet."""

    complaints: Complaints
    host: str = ""

    def spec(self, mention: Mention, arguments: Value) -> Spec:
        """``arguments`` as the spec of the deploy's kind. Raises Complained."""
        model = catalogue.spec_class(mention.kind)
        try:
            return model.model_validate(model.from_short({} if arguments is None else _keyed(arguments)))
        except ValidationError as error:
            self._complain(error, model, mention, mention.arguments, mention.path)
        raise Complained

    def checks(self, mention: Mention, entries: Value) -> Iterator[Check]:
        """``entries`` as health checks. Raises Complained."""
        path = (*mention.path[:-1], "health")
        if entries is None:
            return
        if not isinstance(entries, list):
            place = mention.health.position if mention.health is not None else mention.position
            remedy = "begin each with `- http: …`"
            self.complaints.add(place, path, "a list of checks is expected", remedy, host=self.host)
            raise Complained
        nodes = mention.health.items if isinstance(mention.health, List) else ()
        for index, entry in enumerate(entries):
            node = nodes[index] if index < len(nodes) else mention.health
            yield self.check(mention, entry, node, (*path, index))

    def check(self, mention: Mention, entry: Value, node: Node | None, path: Path) -> Check:
        """``entry`` as one health check. Raises Complained."""
        entry = _keyed(entry)
        try:
            if not isinstance(entry, dict):
                raise Mistake("a check is a mapping", "write one like `{tcp: 127.0.0.1:25}`")
            model: type[CheckSpec] = model_of({str(key): value for key, value in entry.items()})
            try:
                return check_of(mention.name, model.model_validate(entry))
            except ValidationError as error:
                self._complain(error, model, mention, node, path)
        except Mistake as mistake:
            place = node.position if node is not None else mention.position
            self.complaints.faults(mistake, place, path, host=self.host)
        raise Complained

    def _complain(
        self, error: ValidationError, model: type[BaseModel], mention: Mention, node: Node | None, path: Path
    ) -> None:
        place = node.position if node is not None else mention.position
        validation.complain(
            error, model, node, self.complaints, place=place, path=path, host=self.host, rendered=bool(self.host)
        )


def read_constants(mention: Mention, complaints: Complaints) -> Mention | None:
    """``mention`` with what is the same for every host, read: arguments and checks without a template. None after a
    complaint."""
    own = Complaints()
    reader = ArgumentReader(own)
    spec: Spec | None = None
    checks: list[Check] = []
    if mention.source is None and not validation.is_template(mention.arguments):
        with suppress(Complained):
            spec = reader.spec(mention, plain(mention.arguments) if mention.arguments is not None else None)
    if isinstance(mention.health, List):
        for index, node in enumerate(mention.health.items):
            if not validation.is_template(node):
                with suppress(Complained):
                    checks.append(reader.check(mention, plain(node), node, (*mention.path[:-1], "health", index)))
    elif mention.health is not None and not validation.is_template(mention.health):
        with suppress(Complained):
            checks += reader.checks(mention, plain(mention.health))
    complaints.include(own)
    if own:
        return None
    return replace(
        mention,
        spec=None if validation.holds_template(mention.arguments) else spec,
        checks=None if validation.holds_template(mention.health) else tuple(checks),
    )


def _keyed(value: Value) -> Value:
    """``value`` with every key as a string, as deploys expect them."""
    if isinstance(value, dict):
        return {key_text(key): _keyed(item) for key, item in value.items()}
    return [_keyed(item) for item in value] if isinstance(value, list) else value
