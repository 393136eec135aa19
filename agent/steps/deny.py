"""deny: asks the policies of a commit what of a plan may not happen.

DesiredState, Plan ─PolicyInput→ PolicyVerdict → a Hold for each deploy that a rule is about
DesiredState, Leaving ─PolicyInput→ PolicyVerdict → a Hold on each removal that a rule is about
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from agent.domain.desired import DesiredDeploy, DesiredState
from agent.domain.plan import Change, DeployPlan, Hold, HoldKind, Plan
from agent.domain.policy import (
    PolicyChange,
    PolicyDeparture,
    PolicyDeploy,
    PolicyInput,
    PolicyPlan,
    PolicyRemoval,
    PolicyResource,
    RuleMessage,
)
from agent.domain.removal import Fate, Leaving
from agent.domain.sealed import all_shown
from agent.domain.text import some
from agent.domain.tree import Tree
from agent.errors import InventoryError
from agent.policies import NO_INTERPRETER, Policies, policies_of
from agent.problems import ProblemKind
from agent.system.rego import RegoError, has_interpreter

MESSAGES_TOLD = 3


@dataclass(slots=True, eq=False)
class HostPolicies:
    """The policies of the commit aimed at, asked about the plans of one host. If nothing would change, or there are no
    policies, nobody asks them and no interpreter starts. ``tree`` returns the commit's files."""

    tree: Callable[[], Tree]
    state: DesiredState
    inventory: str
    groups: tuple[str, ...]
    warned: tuple[str, ...] = ()
    """The warnings of the rules, in words."""
    failure: InventoryError | None = None
    """The reason why the rules could not be asked; None if they could."""
    _policies: Policies | None = None
    _plan: Plan | None = None
    _asked_removals: PolicyPlan = field(default_factory=PolicyPlan)
    _removal_denials: tuple[RuleMessage, ...] = ()

    def deploy_holds(self, plan: Plan) -> dict[str, Hold]:
        """The holds of the rules on deploys, by deploy. If the rules cannot be asked, every deploy has one."""
        self._plan = plan
        if plan.in_sync:
            return {}
        try:
            denials = self._ask_rules(_change_input(plan))
        except InventoryError as error:
            self.failure = error
            return dict.fromkeys((deploy.name for deploy in self.state.deploys), Hold(HoldKind.POLICY, error.message))
        return _deploy_holds(self.state, denials)

    def hold_now(self, planned: DeployPlan) -> Hold | None:
        """The hold on a deploy whose turn has come. None without one, and if its changes are as in the plan:
        ``deploy_holds`` has answered for those. Else the rules are asked again."""
        if self._plan is None or planned.in_sync:
            return None
        before = next((each for each in self._plan.deploys if each.deploy == planned.deploy), None)
        if before is not None and _changes(before.changes) == _changes(planned.changes):
            return None
        others = (each for each in self._plan.deploys if each.deploy != planned.deploy)
        return self.deploy_holds(replace(self._plan, deploys=(*others, planned))).get(planned.deploy)

    def hold_denied(self, leaving: Leaving) -> Leaving:
        """``leaving`` with a hold on each removal and departure that the rules deny. They are asked again only if the
        removals differ from those of the last time."""
        removals = _removal_input(leaving)
        if not removals.removes:
            return leaving
        if removals != self._asked_removals:
            try:
                self._removal_denials = self._ask_rules(removals)
            except InventoryError as error:
                self.failure = error
                self._removal_denials = (RuleMessage("", error.message),)
            self._asked_removals = removals
        return _with_holds(leaving, self.state, self._removal_denials)

    def hold_named(self, leaving: Leaving) -> Leaving:
        """``leaving`` with a hold on each removal that the last answer of ``hold_denied`` denies by its key. No other
        denial keeps anybody's access: neither a denial of something else, nor rules that cannot be asked."""
        named: dict[str, list[str]] = {}
        for finding in self._removal_denials:
            named.setdefault(finding.resource, []).append(finding.message)
        held = (
            replace(each, hold=_policy_hold(named.get(each.entry.key, ())) or each.hold) for each in leaving.removals
        )
        return replace(leaving, removals=tuple(held))

    def _ask_rules(self, plan: PolicyPlan) -> tuple[RuleMessage, ...]:
        """The denials of ``plan`` by the rules; their warnings are added to ``warned``. Raises InventoryError if the
        rules cannot be asked."""
        try:
            self._policies = self._policies or policies_of(self.tree())
            if not self._policies.modules:
                return ()
            if not has_interpreter():
                raise InventoryError(NO_INTERPRETER[0], hint=NO_INTERPRETER[1], kind=ProblemKind.LIBRARY_MISSING)
            asked = policy_input(self.state, inventory=self.inventory, groups=self.groups, plan=plan)
            [verdict] = self._policies.judge([asked])
        except RegoError as error:
            hint = f"{error.remedy}; until then nothing is changed on this host, but who left Git loses access"
            raise InventoryError(f"the policies cannot be asked: {error}", hint=hint, kind=ProblemKind.POLICY) from None
        self.warned = tuple(dict.fromkeys((*self.warned, *(finding.message for finding in verdict.warned))))
        return verdict.denied


def policy_input(
    state: DesiredState, *, inventory: str, groups: tuple[str, ...], plan: PolicyPlan | None = None
) -> PolicyInput:
    """The input of the rules for one host. In place of a secret it has the template that asks for it."""
    return PolicyInput(
        host=state.host,
        inventory=inventory,
        groups=groups,
        commit=state.commit,
        deploys=tuple(map(_deploy, state.deploys)),
        plan=plan,
    )


def _deploy(deploy: DesiredDeploy) -> PolicyDeploy:
    from agent.deploys.spec import spec_class  # pydantic takes longer to load than a cycle without news

    wanted = spec_class(deploy.kind).properties(deploy.arguments) if deploy.built_in else {}
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


def _change_input(plan: Plan) -> PolicyPlan:
    unknown = tuple(deploy.deploy for deploy in plan.deploys if deploy.unknown is not None)
    return PolicyPlan(changes=_changes(plan.changes), unknown=unknown)


def _removal_input(leaving: Leaving) -> PolicyPlan:
    """The removals and departures of ``leaving``, for the rules; without what stays on the host."""
    return PolicyPlan(
        removals=tuple(
            PolicyRemoval(
                deploy=removal.entry.deploy,
                resource=removal.entry.key,
                kind=removal.entry.kind,
                name=removal.entry.key.partition(":")[2],
                fate="remove" if removal.fate is Fate.REMOVE else "release",
            )
            for removal in leaving.removals
            if removal.goes
        ),
        departures=tuple(
            PolicyDeparture(deploy=departure.deploy, on_remove=departure.on_remove.source)
            for departure in leaving.departures
        ),
    )


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


def _deploy_holds(state: DesiredState, denials: Iterable[RuleMessage]) -> dict[str, Hold]:
    """The holds on deploys that the rules deny, by deploy. A denial that is about no deploy of ``state`` holds all of
    them. A deploy that needs a held one is held too."""
    told: dict[str, list[str]] = {}
    for finding in denials:
        about = [deploy.name for deploy in state.deploys if _is_about(finding, deploy)]
        for name in about or [deploy.name for deploy in state.deploys]:
            told.setdefault(name, []).append(finding.message)
    holds = {name: hold for name, found in told.items() if (hold := _policy_hold(found)) is not None}
    for deploy in state.deploys:
        waits = next((name for name in deploy.needs if name in holds), None)
        if waits is not None and deploy.name not in holds:
            holds[deploy.name] = Hold(HoldKind.POLICY, f"waits for {waits}, which a policy denies")
    return holds


def _with_holds(leaving: Leaving, state: DesiredState, denials: Iterable[RuleMessage]) -> Leaving:
    """``leaving`` with a hold on what the rules deny.

    A denial that names a deploy holds all that came from it. One that names a resource holds its removal; if the deploy
    of that resource has an ``on_remove``, it holds that too, and all else that came from the deploy: an ``on_remove``
    may remove any of it. A denial that is about neither these nor a deploy of ``state`` holds everything.
    """
    everything: list[str] = []
    resources: dict[str, list[str]] = {}
    deploys: dict[str, list[str]] = {}
    keys = {removal.entry.key: removal.entry.deploy for removal in leaving.removals}
    leave = {departure.deploy for departure in leaving.departures}
    for finding in denials:
        came_from = finding.deploy or keys.get(finding.resource, "")
        if came_from in leave or (finding.deploy and came_from in keys.values()):
            deploys.setdefault(came_from, []).append(finding.message)
        elif not finding.deploy and finding.resource in keys:
            resources.setdefault(finding.resource, []).append(finding.message)
        elif not any(_is_about(finding, deploy) for deploy in state.deploys):
            everything.append(finding.message)

    def hold(deploy: str, key: str) -> Hold | None:
        return _policy_hold([*everything, *deploys.get(deploy, ()), *resources.get(key, ())])

    return Leaving(
        tuple(
            replace(each, hold=hold(each.entry.deploy, each.entry.key) or each.hold) if each.goes else each
            for each in leaving.removals
        ),
        tuple(replace(each, hold=each.hold or hold(each.deploy, "")) for each in leaving.departures),
    )


def _policy_hold(said: Iterable[str]) -> Hold | None:
    """The hold for the messages that rules ``said``; None without any."""
    messages = list(dict.fromkeys(said))
    return Hold(HoldKind.POLICY, some(messages, MESSAGES_TOLD)) if messages else None


def _is_about(finding: RuleMessage, deploy: DesiredDeploy) -> bool:
    if finding.deploy:
        return finding.deploy == deploy.name
    return any(resource.key == finding.resource for resource in deploy.resources)
