"""Run every Python block of a Markdown file, each in a process and an empty folder of its own; load its recipes."""

import pathlib
import re
import subprocess
import sys
import tempfile


def blocks(text: str, language: str) -> list[str]:
    """The code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def main(path: pathlib.Path) -> int:
    text = path.read_text(encoding="utf-8")
    programs = blocks(text, "python")
    for recipe in blocks(text, "yaml"):
        check = "from kerastrain import experiments; experiments.load('block.yaml')"
        programs.append(f"open('block.yaml', 'w').write({recipe!r})\n{check}")
    for number, program in enumerate(programs, 1):
        print(f"{path}: block {number} of {len(programs)}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            if subprocess.run([sys.executable, "-c", program], cwd=folder, check=False).returncode:
                print(program, file=sys.stderr)
                return 1
    return 0 if programs else 1


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
