"""The built-in deploys as operations of pyinfra, for deploy files.

    from agent.deploys.operations import files, services

    files({"/etc/app.conf": {"template": "app.conf.j2"}})
    services({"app": {"running": True, "restart_on": ["/etc/app.conf"]}})

Each takes what ``site.yaml`` takes under its name, as keywords or as one value, and pyinfra's global arguments. Sources
are files below the folder that pyinfra runs in; templates see ``host.data``. ``tools`` takes pins by name, for there is
no lock.yaml: a version, ``bin``, and ``assets`` by platform or ``requirements``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any, NoReturn

from pydantic import ValidationError
from pyinfra.api.exceptions import OperationError
from pyinfra.api.operation import OperationMeta
from pyinfra.api.util import get_template
from pyinfra.connectors.local import LocalConnector
from pyinfra.context import ctx_host, ctx_state

from agent.deploys.correct import correct
from agent.deploys.correction import host_side
from agent.deploys.spec import Concrete, kinds, spec_class
from agent.domain import codec
from agent.domain.fault import Mistake
from agent.domain.pins import Pins, RepositoryPin, ToolPin
from agent.errors import InventoryError
from agent.problems import ProblemKind
from agent.system.folder import FolderTree


class DeployFolder:
    """The ``Sources`` of an operation: the files of a folder, and the data of pyinfra's host."""

    inventory = ""

    def __init__(self, root: Path, pins: Pins) -> None:
        self.tree = FolderTree(root)
        self.pins = pins

    def repository(self, pin: RepositoryPin) -> NoReturn:
        raise InventoryError(
            f"{pin.url} is not there in a deploy file",
            kind=ProblemKind.NOT_FETCHED,
            hint="write this deploy in site.yaml, or take the files into this repository",
        )

    def render(self, template: str, origin: str) -> str:
        host = ctx_host.get()
        try:
            return get_template(StringIO(template)).render(host=host, **host.data.dict())
        except Exception as error:
            raise Mistake(f"{origin} cannot be rendered: {error}", "templates see host.data") from error


def _operation(kind: str) -> Callable[..., OperationMeta]:
    """The operation for the built-in deploy ``kind``."""

    def deploy(written: object = None, /, *, name: str = kind, **arguments: object) -> OperationMeta:
        """Correct what differs from the arguments, as an operation of pyinfra. Raises OperationError for arguments that
        ``site.yaml`` would not take, and for a host that is not this machine."""
        if not issubclass(ctx_host.get().connector_cls, LocalConnector):
            raise OperationError(f"{kind} looks at the machine it runs on: use it with @local, on the host itself")
        general: dict[str, Any] = {key: arguments.pop(key) for key in list(arguments) if key.startswith("_")}
        root = Path(ctx_state.get().cwd or ".").absolute()
        try:
            concrete = _concrete(kind, arguments if written is None else written, root)
        except ValidationError as error:
            raise OperationError(f"{kind}: {'; '.join(map(_fault, error.errors()))}") from error
        except (InventoryError, ValueError) as error:
            raise OperationError(f"{kind}: {error}") from error
        find = host_side(kind).corrections
        owned = [resource.key for resource in concrete.resources if not resource.absent]
        general = {"_continue_on_error": True, **general, "name": name}
        made: OperationMeta = correct(find=partial(find, concrete.arguments, root), resources=owned, **general)
        return made

    deploy.__name__ = kind
    return deploy


def _fault(found: Mapping[str, Any]) -> str:
    """A fault that pydantic found, after the path of its key."""
    why = "there is no such key" if found["type"] == "extra_forbidden" else found["msg"]
    return f"{'.'.join(map(str, found['loc']))}: {why}"


def _concrete(kind: str, written: Any, root: Path) -> Concrete:
    pins = Pins()
    if kind == "tools" and isinstance(written, Mapping):
        pins = Pins({name: codec.from_plain({"name": name, **pin}, ToolPin) for name, pin in written.items()})
        written = list(pins.tools)
    spec = spec_class(kind)
    return spec.model_validate(spec.from_short(written)).concrete(DeployFolder(root, pins))


def __getattr__(name: str) -> Callable[..., OperationMeta]:
    """The operation called like a built-in deploy, when it is imported."""
    if name not in kinds():
        raise AttributeError(f"there is no built-in deploy {name}")
    return _operation(name)
