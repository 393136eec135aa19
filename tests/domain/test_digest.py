import pytest

from agent.domain.digest import canonical, digest_of
from agent.domain.tree import blob_id


def test_the_order_of_keys_does_not_change_a_digest():
    assert digest_of({"a": 1, "b": [True, None]}) == digest_of({"b": [True, None], "a": 1})


def test_the_order_of_a_list_does():
    assert digest_of([1, 2]) != digest_of([2, 1])


def test_one_and_true_and_their_texts_all_differ():
    assert len({digest_of(value) for value in (1, True, "1", "true")}) == 4


def test_text_is_kept_as_utf_8():
    assert canonical({"name": "Ändern"}) == '{"name":"Ändern"}'.encode()


@pytest.mark.parametrize("value", [1.5, {"deep": [0.1]}, {1: "key"}, {"set": {1}}, b"bytes"])
def test_what_has_no_one_text_form_is_refused(value):
    with pytest.raises(TypeError, match="a digest is taken over"):
        digest_of(value)


def test_a_blob_id_is_what_git_says():
    # `printf 'hello\n' | git hash-object --stdin`
    assert blob_id(b"hello\n") == "ce013625030ba8dba906f756967f9e9ca394464a"
