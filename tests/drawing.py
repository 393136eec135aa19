"""What property tests draw: the same cases in each ordinary run, others and ten times as many with ``--long``.

A failure by chance tells somebody who changed something else. So ordinary runs hold what is known, long ones look for
what is not, and print how to repeat what they find (``@reproduce_failure``); it then becomes an ``@example``.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers

ORDINARY = settings(
    derandomize=True,
    database=None,
    deadline=None,  # a busy machine is no failure
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],  # the first reads the clock, too
    print_blob=True,
)
TIMES = 10


def load_profile(*, long: bool) -> None:
    """To be called before modules with property tests are imported."""
    settings.register_profile("ordinary", ORDINARY)
    settings.register_profile("long", ORDINARY, derandomize=False, max_examples=ORDINARY.max_examples * TIMES)
    settings.load_profile("long" if long else "ordinary")
    if not long:
        # It draws the numbers and texts of whatever modules are loaded: others in each process
        providers._get_local_constants = providers.Constants


def cases(ordinary: int) -> settings:
    """A decorator: how many cases an ordinary run tries instead of a hundred."""
    profile = settings.get_profile(settings.get_current_profile_name())
    return settings(max_examples=ordinary * profile.max_examples // ORDINARY.max_examples)
