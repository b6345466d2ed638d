"""Class names as recipes and files spell them."""

import re


def snake_case(name: str) -> str:
    """`ClipByGlobalNorm` -> `clip_by_global_norm`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
