"""Every Python block of docs/*.md runs, in the order of its page, and prints what it says it prints."""

import contextlib
import io
import pathlib
import re

import pytest
from readme_code import blocks

DOCS = pathlib.Path(__file__).parents[2] / "docs"
PAGES = sorted(page.name for page in DOCS.glob("*.md"))


def text(page):
    return (DOCS / page).read_text(encoding="utf-8")


def said(block):
    """What the comments behind `print(...)` say; None when a print has none."""
    prints = re.findall(r"^print\(.*?\)(?:  # (.*))?$", block, flags=re.MULTILINE)
    return prints if all(prints) else None


def anchors(page):
    """The links that the page's headings can be reached by, as GitHub makes them."""
    prose = re.sub(r"^```.*?^```$", "", text(page), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", prose, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_there_are_pages():
    assert {"migration.md", "optimizers.md", "rules.md", "schedules.md"} <= set(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_code_runs_and_prints_what_it_says(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    space = {"__name__": page}
    for number, block in enumerate(blocks(text(page), "python"), 1):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(block, f"{page}, block {number}", "exec"), space)  # noqa: S102 - the page's own code
        if said(block) is not None:
            assert printed.getvalue().splitlines() == said(block), f"{page}, block {number}"


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    for target, anchor in re.findall(r"\]\(([\w./-]*)(?:#([\w-]+))?\)", text(page)):
        if target and not target.endswith(".md"):
            assert (DOCS / target).exists(), target
        elif anchor:
            assert anchor in anchors(target or page), f"{target}#{anchor}"
        else:
            assert (DOCS / target).exists(), target
