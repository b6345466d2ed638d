"""Recipes out of text, and what is complained of in them."""

import pytest

from kerastrain import experiments
from kerastrain._core import yaml_document
from kerastrain._core.errors import InputError


def loaded(text, overrides=None):
    return experiments.from_document(yaml_document.parse(text, "my.yaml"), overrides)


def complaint(text, overrides=None):
    with pytest.raises(InputError) as caught:
        loaded(text, overrides)
    return str(caught.value)
