"""JSON that people type into forms: what is wrong with it is said, and nothing raises."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError

from foundation.form_fields import TypedJsonField

FIELD = TypedJsonField()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"env": "prod", "env": "dev"}', "“env” is there twice."),
        ('[{"a": {"b": 1, "b": 1}}]', "“b” is there twice."),
        ("{", "valid JSON"),
        ("NaN", "valid JSON"),
        ("[" * 5_000, "valid JSON"),
        ('"\\ud800"', "valid JSON"),
        ("9" * 5_000, "valid JSON"),
    ],
)
def test_what_cannot_be_meant_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValidationError) as refused:
        FIELD.clean(text)
    assert said in refused.value.messages[0]
    assert FIELD.bound_data(text, None) == text


def test_what_can_be_meant_is_read() -> None:
    assert FIELD.clean('{"env": "prod", "a": {"env": 1}}') == {"env": "prod", "a": {"env": 1}}
