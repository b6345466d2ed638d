"""What an exception of another library says, as a part of one line."""

import re

_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def one_line(error: BaseException) -> str:
    r"""Its text without line ends and without the colors that are meant for a terminal.

    Example:

    >>> one_line(ValueError("\x1b[1mexpected\x1b[0m axis -1\n\n  of 3"))
    'expected axis -1 of 3'
    """
    return " ".join(_ANSI.sub("", str(error)).split())
