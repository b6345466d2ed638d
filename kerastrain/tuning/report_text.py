"""Text inside the HTML of a report."""

import html
from typing import Any


def text(value: Any) -> str:
    """`value` with nothing in it that HTML would read."""
    return html.escape(str(value), quote=True)


def code(value: Any) -> str:
    """`value` as something to type."""
    return f"<code>{text(value)}</code>"
