from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from agent.deploys.cron.spec import CronSpec
from agent.errors import InventoryError
from tests.deploys.commit import Commit

BACKUP = {"command": "/usr/local/bin/backup", "schedule": "15 3 * * *"}


def spec(written: Any) -> CronSpec:
    return CronSpec.model_validate(CronSpec.from_short(written))


def files(written: Any, tmp_path: Path) -> dict[str, str]:
    items: Any = spec(written).concrete(Commit(tmp_path, {})).arguments["items"]
    return {item["path"]: item["text"] for item in items}


def lines(job: dict[str, Any], tmp_path: Path) -> list[str]:
    (text,) = files({"job": {**BACKUP, **job}}, tmp_path).values()
    return text.splitlines()[1:]


def test_a_job_is_a_file_of_its_own(tmp_path: Path) -> None:
    assert files({"backup": BACKUP}, tmp_path) == {
        "/etc/cron.d/hostwright-backup": (
            "# Managed by Hostwright: what is changed here by hand is put back.\n"
            "15 3 * * * root /usr/local/bin/backup\n"
        )
    }


def test_its_resource_changes_with_the_job_and_with_nothing_else(tmp_path: Path) -> None:
    commit = Commit(tmp_path, {})
    one, other = (
        spec({"a": BACKUP, "b": {**BACKUP, "user": user}}).concrete(commit).resources for user in ("ann", "eve")
    )
    assert [resource.key for resource in one] == ["cron:a", "cron:b"]
    assert (one[0], one[1].key) == (other[0], other[1].key)
    assert one[1].digest != other[1].digest


def test_user_environment_and_comment_stand_in_the_file(tmp_path: Path) -> None:
    job = {"user": "ann", "env": {"MAILTO": "", "N": 5, "Q": 'say "x"'}, "comment": "nightly", "schedule": "@daily"}
    assert lines(job, tmp_path) == [
        "# nightly",
        'MAILTO=""',
        'N="5"',
        "Q='say \"x\"'",
        "@daily ann /usr/local/bin/backup",
    ]


def test_a_percent_sign_means_itself(tmp_path: Path) -> None:
    assert lines({"command": "date +%F"}, tmp_path) == [r"15 3 * * * root date +\%F"]


@pytest.mark.parametrize(
    ("job", "complaint"),
    [
        ({"command": r"date +\%F"}, r"stands in the command; write %"),
        ({"command": "a\nb"}, "more than one line"),
        ({"command": " "}, "there is no command"),
        ({"command": "x" * 2000}, "put it into a script"),
        ({"schedule": "* * * *"}, "has 4 fields"),
        ({"user": "a b"}, "'a b' is not the name of a user"),
        ({"env": {"A B": "x"}}, "'A B' is not the name of a variable"),
        ({"env": {"A": "x\ny"}}, "more than one line"),
        ({"env": {"A": "\"'"}}, "both kinds of quotes"),
        ({"comment": "a\n* * * * * root evil"}, "more than one line"),
    ],
)
def test_what_cron_would_misread_is_refused(job: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError) as caught:
        spec({"job": {**BACKUP, **job}})
    assert complaint in str(caught.value)


@pytest.mark.parametrize("name", ["a.b", "../x", "", "-x", "a b", "x/y"])
def test_a_name_that_cron_would_not_read_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="is not a name for a job"):
        spec({name: BACKUP})


@pytest.mark.parametrize("missing", ["command", "schedule"])
def test_a_job_says_what_runs_and_when(missing: str, tmp_path: Path) -> None:
    with pytest.raises(InventoryError, match=f"the job backup has no {missing}"):
        files({"backup": {key: value for key, value in BACKUP.items() if key != missing}}, tmp_path)


def test_a_later_play_changes_of_a_job_what_it_mentions() -> None:
    earlier = spec({"a": {**BACKUP, "env": {"A": "1"}}, "b": BACKUP})
    later = spec({"a": {"schedule": "@daily", "env": {"B": "2"}}})
    merged = earlier.merged(later).jobs
    assert (merged["a"].schedule, merged["a"].command, merged["a"].env) == (
        "@daily",
        BACKUP["command"],
        {"A": "1", "B": "2"},
    )
    assert merged["b"] == earlier.jobs["b"]


@pytest.mark.parametrize(
    ("written", "valid"), [({"a": BACKUP}, True), ({"jobs": {"a": BACKUP}}, True), ({"a": 1}, False)]
)
def test_the_schema_knows_both_forms(written: Any, valid: bool) -> None:
    assert Draft202012Validator(CronSpec.model_json_schema()).is_valid(written) is valid
