"""deny: asks the policies of a commit what of a plan may not happen.

policies/**/*.rego ─Policies→ ┐
DesiredState, Plan ─PolicyInput→ ┴→ PolicyVerdict → a Hold for each deploy that a rule is about
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from agent.domain import codec
from agent.domain.desired import DesiredDeploy, DesiredState
from agent.domain.plan import Change, DeployPlan, Hold, HoldKind, Plan
from agent.domain.policy import (
    FOLDER,
    JUDGING,
    PolicyChange,
    PolicyDeploy,
    PolicyInput,
    PolicyPlan,
    PolicyResource,
    PolicyVerdict,
    RuleMessage,
    verdict_of,
)
from agent.domain.sealed import all_shown
from agent.domain.text import some
from agent.domain.tree import Tree
from agent.errors import InventoryError
from agent.problems import ProblemKind
from agent.system.rego import (
    RUNS_ON,
    UNSET,
    ModuleOutline,
    RegoError,
    asking_unset,
    evaluate,
    has_interpreter,
    outlines,
)

PACKAGE = "main"
TESTS = "_test.rego"
NO_INTERPRETER = (
    f"the rules in {FOLDER}/ cannot be asked: the Rego interpreter is not installed",
    f"`pipx install './hostwright[policy]'` beside the clone; on a host run bootstrap.sh again; {RUNS_ON}",
)
"""Problem and remedy. A rule that nobody can ask denies everything."""
MESSAGES_TOLD = 3

_TEST = re.compile(r"(?m)^(test_\w+)")


@dataclass(frozen=True, slots=True)
class Policies:
    """The rules of one commit: ``modules`` and the ``tests`` of them, their sources by path."""

    modules: Mapping[str, str]
    tests: Mapping[str, str]

    def judge(self, inputs: Iterable[PolicyInput]) -> Iterator[PolicyVerdict]:
        """The verdict on each input. Raises RegoError."""
        plain = (codec.to_plain(each) for each in inputs)
        for rules in evaluate(self.modules, PACKAGE, JUDGING, plain):
            try:
                yield verdict_of(rules)
            except ValueError as error:
                raise RegoError(f"{error}", *self._place(f"{error}")) from None

    def faults(self) -> Iterator[RegoError]:
        """What is wrong with the rules: tests that do not hold, rules that judge nobody. Raises RegoError."""
        modules = {**self.modules, **self.tests}
        outlined = outlines(modules)
        yield from self._judging_nobody(outlined)
        try:
            [found] = evaluate(modules, PACKAGE, f"{JUDGING}|test_.*", [{}])
        except RegoError as error:
            places = list(asking_unset(modules, outlined)) if error.message == UNSET and not error.file else []
            yield from (RegoError(UNSET, path, 0, 0) for path in places)
            if places:
                return
            raise
        for path, source in self.tests.items():
            for test in _TEST.finditer(source):
                if found.get(test[1]) is not True:
                    line = source.count("\n", 0, test.start()) + 1
                    yield RegoError(f"the test {test[1]} does not hold", path, line, 1)
        if not any(re.fullmatch(JUDGING, rule) for rule in found):
            yield RegoError(
                f"no rule deny, violation or warn is in the package {PACKAGE}, so nothing is judged", min(modules)
            )

    def _judging_nobody(self, found: Sequence[ModuleOutline]) -> Iterator[RegoError]:
        """Rules in the tests, and packages that no rule of the one that is asked refers to."""
        asked: set[tuple[str, ...]] = {(PACKAGE,)}
        while (
            more := {
                tuple(each.package)
                for each in found
                for user in found
                if tuple(user.package) in asked and any(_is_part(use, each.package) for use in user.uses)
            }
            - asked
        ):
            asked |= more
        for each in found:
            if each.file in self.tests:
                for rule, line in each.rules:
                    if tuple(each.package) == (PACKAGE,) and re.fullmatch(JUDGING, rule):
                        yield RegoError(f"{rule} judges nobody here: hosts do not read *{TESTS}", each.file, line, 1)
            elif tuple(each.package) not in asked:
                name = ".".join(each.package)
                reason = (
                    f"nobody asks the package {name}: rules that judge are in the package {PACKAGE}, and import others"
                )
                yield RegoError(reason, each.file, each.line, 1)

    def _place(self, message: str) -> tuple[str, int, int]:
        """The first line of the rule that ``message`` names."""
        for path, source in self.modules.items():
            for rule in re.finditer(rf"(?m)^{JUDGING}\b", source):
                if rule[0] in message.split():
                    return path, source.count("\n", 0, rule.start()) + 1, 1
        return "", 0, 0


def _is_part(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether one of two paths begins with the other."""
    return all(mine == its for mine, its in zip(one, other, strict=False))


def policies_of(tree: Tree) -> Policies:
    """The rules in ``tree``. Raises InventoryError for a file that is no text."""
    sources: dict[str, str] = {}
    for path in tree.paths(FOLDER):
        if path.endswith(".rego"):
            try:
                sources[path] = tree.read(path).decode()
            except UnicodeDecodeError:
                raise InventoryError(f"{path} is not UTF-8 text", kind=ProblemKind.POLICY) from None
    tests = {path: source for path, source in sources.items() if path.endswith(TESTS)}
    return Policies({path: source for path, source in sources.items() if path not in tests}, tests)


class HostPolicies:
    """The policies of the commit aimed at, asked about the plans of one host. Where nothing would change, and where
    there are no policies, nothing is asked and no interpreter is started. ``tree`` gives the commit's files."""

    def __init__(
        self, tree: Callable[[], Tree], state: DesiredState, *, inventory: str, groups: tuple[str, ...]
    ) -> None:
        self._tree = tree
        self._state = state
        self._inventory = inventory
        self._groups = groups
        self._policies: Policies | None = None
        self._plan: Plan | None = None
        self.warned: tuple[str, ...] = ()
        """What the rules warn of, in words."""
        self.failure: InventoryError | None = None
        """Why they could not be asked."""

    def denied(self, plan: Plan) -> dict[str, Hold]:
        """By deploy, the hold on it."""
        self._plan = plan
        if plan.in_sync:
            return {}
        try:
            verdict = self._verdict(plan)
        except InventoryError as error:
            self.failure = error
            return dict.fromkeys((deploy.name for deploy in self._state.deploys), Hold(HoldKind.POLICY, error.message))
        self.warned = tuple(dict.fromkeys((*self.warned, *(finding.message for finding in verdict.warned))))
        return _holds(self._state, verdict.denied)

    def denied_now(self, planned: DeployPlan) -> Hold | None:
        """The hold on a deploy whose turn has come: the rules are asked again unless they would be told the same
        changes of it as with the plan."""
        if self._plan is None or planned.in_sync:
            return None
        before = next((each for each in self._plan.deploys if each.deploy == planned.deploy), None)
        if before is not None and _changes(before.changes) == _changes(planned.changes):
            return None
        others = (each for each in self._plan.deploys if each.deploy != planned.deploy)
        return self.denied(replace(self._plan, deploys=(*others, planned))).get(planned.deploy)

    def _verdict(self, plan: Plan) -> PolicyVerdict:
        self._policies = self._policies or policies_of(self._tree())
        if not self._policies.modules:
            return PolicyVerdict()
        if not has_interpreter():
            raise InventoryError(NO_INTERPRETER[0], hint=NO_INTERPRETER[1], kind=ProblemKind.LIBRARY_MISSING)
        asked = policy_input(self._state, inventory=self._inventory, groups=self._groups, plan=plan)
        try:
            [verdict] = self._policies.judge([asked])
        except RegoError as error:
            hint = error.remedy or "`hostwright check` in the config repo says the same"
            hint += "; until then nothing is changed on this host"
            raise InventoryError(f"the policies cannot be asked: {error}", hint=hint, kind=ProblemKind.POLICY) from None
        return verdict


def policy_input(
    state: DesiredState, *, inventory: str, groups: tuple[str, ...], plan: Plan | None = None
) -> PolicyInput:
    """What the rules are told of a host. Secrets stand in it as templates ask for them."""
    return PolicyInput(
        host=state.host,
        inventory=inventory,
        groups=groups,
        commit=state.commit,
        deploys=tuple(map(_deploy, state.deploys)),
        plan=_plan(plan) if plan is not None else None,
    )


def _deploy(deploy: DesiredDeploy) -> PolicyDeploy:
    from agent.deploys import catalogue  # pydantic takes longer to load than a cycle without news

    wanted = catalogue.spec_class(deploy.kind).properties(deploy.arguments) if deploy.built_in else {}
    resources = [
        PolicyResource(
            key=resource.key,
            kind=resource.key.partition(":")[0],
            name=resource.key.partition(":")[2],
            absent=resource.absent,
            wanted=all_shown(wanted.get(resource.key, {})),
        )
        for resource in deploy.resources
    ]
    return PolicyDeploy(
        name=deploy.name,
        kind=deploy.kind,
        mode=deploy.mode.value,
        needs=deploy.needs,
        source=deploy.source,
        commit=deploy.repository.commit if deploy.repository is not None else None,
        data=all_shown(deploy.data),
        secrets=deploy.secrets,
        resources=tuple(resources),
    )


def _plan(plan: Plan) -> PolicyPlan:
    unknown = tuple(deploy.deploy for deploy in plan.deploys if deploy.unknown is not None)
    return PolicyPlan(changes=_changes(plan.changes), unknown=unknown)


def _changes(changes: Iterable[Change]) -> tuple[PolicyChange, ...]:
    return tuple(
        PolicyChange(
            deploy=change.deploy,
            resource=change.resource,
            operation=change.wanted.operation,
            cause=change.cause.value,
            set_off=change.set_off,
            lines_added=change.wanted.lines_added,
            lines_removed=change.wanted.lines_removed,
        )
        for change in changes
    )


def _holds(state: DesiredState, denied: Iterable[RuleMessage]) -> dict[str, Hold]:
    """By deploy, why it may not run: what a rule says of it, or of no deploy that there is; or a deploy that it needs
    may not."""
    told: dict[str, list[str]] = {}
    for finding in denied:
        about = [deploy.name for deploy in state.deploys if _is_about(finding, deploy)]
        for name in about or [deploy.name for deploy in state.deploys]:
            told.setdefault(name, []).append(finding.message)
    holds = {
        name: Hold(HoldKind.POLICY, some(list(dict.fromkeys(found)), MESSAGES_TOLD)) for name, found in told.items()
    }
    for deploy in state.deploys:
        waits = next((name for name in deploy.needs if name in holds), None)
        if waits is not None and deploy.name not in holds:
            holds[deploy.name] = Hold(HoldKind.POLICY, f"waits for {waits}, which a policy denies")
    return holds


def _is_about(finding: RuleMessage, deploy: DesiredDeploy) -> bool:
    if finding.deploy:
        return finding.deploy == deploy.name
    return any(resource.key == finding.resource for resource in deploy.resources)
