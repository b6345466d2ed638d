import sys

import pytest

from kerastrain.cli.main import main


@pytest.fixture
def command(monkeypatch, capsys):
    """A function that runs `kerastrain ARGUMENTS` in this process: exit code, lines of stdout, text of stderr."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["kerastrain", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return code, captured.out.splitlines(), captured.err

    return run
