from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from agent.deploys.timezone.spec import TimezoneSpec
from tests.deploys.commit import Commit


def spec(written: Any) -> TimezoneSpec:
    return TimezoneSpec.model_validate(TimezoneSpec.from_short(written))


def test_a_name_is_enough(tmp_path: Path) -> None:
    concrete = spec("Europe/Berlin").concrete(Commit(tmp_path, {}))
    assert concrete.arguments == {"zone": "Europe/Berlin"}
    assert [resource.key for resource in concrete.resources] == ["timezone:host"]


def test_its_files_are_nobody_elses(tmp_path: Path) -> None:
    claims = spec("UTC").concrete(Commit(tmp_path, {})).claims
    assert [claim.key for claim in claims] == ["link:/etc/localtime", "file:/etc/timezone"]


def test_a_later_play_wins() -> None:
    assert spec("UTC").merged(spec("Europe/Berlin")).zone == "Europe/Berlin"


@pytest.mark.parametrize(
    ("written", "complaint"),
    [("Europe/Berlinn", "did you mean Europe/Berlin"), ("../passwd", "no time zone is called"), ("", "no time zone")],
)
def test_what_is_no_zone_is_named(written: str, complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        spec(written)
