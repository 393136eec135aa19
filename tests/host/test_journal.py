import pytest

from agent.host.journal import Journal


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "journal")


def test_a_deploy_that_began_and_did_not_end_is_interrupted(journal):
    journal.begin("web", "1")
    journal.begin("motd", "2")
    journal.end("motd")
    assert journal.interrupted() == {"web"}


def test_a_host_without_a_journal_was_never_interrupted(journal):
    assert journal.interrupted() == frozenset()


def test_a_line_torn_by_a_power_loss_hides_no_other(journal, tmp_path):
    journal.begin("web", "1")
    with open(tmp_path / "journal", "ab") as file:
        file.write(b'{"begin": "mo')
    journal.begin("users", "3")
    assert journal.interrupted() == {"web", "users"}


def test_compacting_keeps_what_is_still_open_and_wanted(journal, tmp_path):
    for name in ("web", "gone", "motd"):
        journal.begin(name, "1")
    journal.end("motd")
    journal.compact(frozenset({"web", "motd"}))
    assert journal.interrupted() == {"web"}
    assert (tmp_path / "journal").read_text().count("\n") == 1
