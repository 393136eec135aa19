"""Short ways to say the values that steps pass on."""

from agent.domain.account import Account
from agent.domain.commit import TrustedCommit
from agent.domain.desired import DesiredDeploy, DesiredState, Mode, Resource
from agent.domain.digest import digest_of
from agent.domain.health import Health, Symptom, Vitals
from agent.domain.outcome import DeployOutcome, OperationResult, Outcome, Status
from agent.domain.plan import Cause, Change, DeployPlan, Plan, WantedChange

SHA = "a" * 40
VITALS = Vitals(10, 5, 100, 50, 0, 1000, 900, 90, 3)


def deploy(name="motd", *, resources=("file:/etc/motd",), version="1", **more):
    return DesiredDeploy(
        name=name,
        kind="files",
        arguments={},
        digest=digest_of([name, version]),
        resources=tuple(Resource(key, digest_of([key, version])) for key in resources),
        **more,
    )


def state(*deploys, commit=SHA):
    deploys = deploys or (deploy(),)
    return DesiredState("web1", commit, tuple(deploys), digest_of([each.digest for each in deploys]))


def change(deploy="motd", resource="file:/etc/motd", cause=Cause.INTENDED, **more):
    return Change(deploy, WantedChange(resource, f"write {resource}", **more), cause)


def planned(*changes, deploy="motd", **more):
    return DeployPlan(deploy, tuple(changes), **more)


def plan(*deploys):
    return Plan(SHA, "d" * 64, tuple(deploys))


def result(deploy="motd", resource="file:/etc/motd", *, succeeded=True, error=""):
    return OperationResult(deploy, resource, f"write {resource}", succeeded, succeeded, 0.1, error=error)


def outcome(status=Status.DONE, *results, deploy="motd", error=""):
    return Outcome((DeployOutcome(deploy, status, tuple(results), error),))


def health(*complaints, failed=()):
    return Health(VITALS, tuple(failed), False, tuple(Symptom(text, text.partition(" ")[0]) for text in complaints))


def account(**more):
    more.setdefault("state", state())
    return Account(**more)


__all__ = [
    "SHA",
    "VITALS",
    "Mode",
    "TrustedCommit",
    "account",
    "change",
    "deploy",
    "health",
    "outcome",
    "plan",
    "planned",
    "result",
    "state",
]
