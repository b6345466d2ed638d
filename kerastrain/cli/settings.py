"""`--set KEY=VALUE`."""

from typing import Any

from kerastrain._core.errors import InputError


def overrides_of(settings: list[str]) -> dict[str, Any]:
    """Values by their dotted paths. Raises InputError."""
    from kerastrain._core import dotted_path, yaml_document

    found: dict[str, Any] = {}
    for setting in settings:
        key, sign, text = setting.partition("=")
        if not sign:
            raise InputError(f"`--set`: expected KEY=VALUE. Received: {setting!r}.")
        dotted_path.parse(key)
        found[key] = yaml_document.parse(text, f"--set {key}").data
    return found
