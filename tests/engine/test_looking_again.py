"""A second look in a cycle: what would be found as before is not looked at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from agent.deploys import tree
from agent.deploys.items import Item, concrete_items
from agent.domain import sealed
from agent.domain.desired import DesiredDeploy, DesiredState
from agent.domain.plan import DeployPlan, Plan
from agent.domain.question import Question, QuestionKind
from agent.engine.built_in import look
from agent.engine.protocol import EarlierLook, Order
from agent.trace.answers import trace, unsigned
from tests import children
from tests.engine.conftest import TIMEOUT_S, Bench

COUNT = 20


@pytest.fixture
def files(tmp_path: Path) -> Order:
    """An order for COUNT files below ``target``, which are there."""
    (tmp_path / "target").mkdir()
    items = [Item(path=f"{tmp_path}/target/{number:02}", kind="file", mode=0o644, text="x") for number in range(COUNT)]
    order = Order("files", "files", None, {"items": concrete_items(items)[0]}, {}, False)
    for correction in look(order, tmp_path).corrections:
        correction.run()
    return order


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of what was looked at."""
    names: list[str] = []
    survey = tree.survey

    def noting(base: object, items: list[Item], *more: object) -> object:
        items = list(items)
        names.extend(Path(item.path).name for item in items if item.kind == "file")
        return survey(base, items, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(tree, "survey", noting)
    return names


def again(order: Order, between: Callable[[], object]) -> list[str]:
    """The names of what a second look wants to change after ``between``."""
    root = Path("/")
    first = look(order, root, traced=True)
    between()
    earlier = EarlierLook(first.trace, first.found.resources)
    second, whole = look(replace(order, earlier=earlier), root, traced=True), look(order, root, traced=True)
    assert second.found == whole.found
    return [Path(key).name for key in second.found.resources]


def test_nothing_is_looked_at_where_all_was_right_and_no_answer_changed(files: Order, looked_at: list[str]) -> None:
    assert again(files, looked_at.clear) == []
    assert len(looked_at) == COUNT  # by the whole look alone, to which the second is compared


def test_what_was_wanted_and_what_changed_since_is_looked_at(
    files: Order, looked_at: list[str], tmp_path: Path
) -> None:
    (tmp_path / "target/03").write_text("drifted")

    def between() -> None:
        (tmp_path / "target/07").write_text("drifted too")
        (tmp_path / "target/08").touch()
        looked_at.clear()

    assert again(files, between) == ["03", "07"]
    assert looked_at[:-COUNT] == ["03", "07", "08"]


@pytest.mark.parametrize(
    "change",
    [
        lambda target: target.chmod(0o777),
        lambda target: (target.rename(f"{target}.real"), target.symlink_to("target.real")),
    ],
    ids=["mode", "link"],
)
def test_a_change_on_the_way_is_about_all(
    files: Order, looked_at: list[str], tmp_path: Path, change: Callable[[Path], object]
) -> None:
    again(files, lambda: (change(tmp_path / "target"), looked_at.clear()))
    assert len(looked_at) == 2 * COUNT


def test_a_look_that_no_questions_cover_is_repeated(files: Order, looked_at: list[str]) -> None:
    looked_at.clear()
    look(replace(files, earlier=EarlierLook(unsigned("why"), ())), Path("/"))
    assert len(looked_at) == COUNT


def test_a_deploy_file_is_looked_at_again_whatever_its_questions_say(bench: Bench) -> None:
    answered = trace([Question(QuestionKind.PATH, "/")])
    bench.deploy("file", 'files.put(name="a file", src=StringIO("x"), dest=str(target / "new"))')
    assert bench.plan(earlier=Plan("", "", (DeployPlan("file", trace=answered),)))["file"].changes


def test_a_deploy_with_a_secret_is_looked_at_again_for_its_value_may_be_another_now(tmp_path: Path) -> None:
    asked = sealed.token({"is": sealed.PROVIDER, "name": "vault", "call": "vault('web#key')"})
    items, _ = concrete_items([Item(path=f"{tmp_path}/key", kind="file", mode=0o600, text=asked, secret=True)])
    deploy = DesiredDeploy("keys", "files", {"items": items}, digest="1", secrets=("vault('web#key')",))
    state = DesiredState("web1", "0" * 40, (deploy,), "1")
    values = iter(("old-value", "new-value"))

    def unseal(value: object, root: Path) -> object:
        return sealed.opened(value, lambda _: next(values)) if sealed.contains_sealed(value) else value

    engine = children.engine(work=tmp_path / "work", timeout_s=TIMEOUT_S, traced=True, unseal=unseal)
    (tmp_path / "key").write_text("old-value")
    (tmp_path / "key").chmod(0o600)
    (first,) = engine.plan(state, tmp_path, frozenset())
    (second,) = engine.plan(state, tmp_path, frozenset(), Plan("", "", (DeployPlan("keys", trace=first.trace),)))
    assert (first.changes, [change.resource for change in second.changes]) == ((), [f"file:{tmp_path}/key"])
