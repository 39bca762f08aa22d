"""The README and the user guide: up to date, short enough, and free of dead links, lost files and wrong commands."""

import importlib
import re
import shlex
import sys
import tomllib
from argparse import ArgumentParser
from pathlib import Path

import pytest
from PySide6.QtGui import QTextDocument, QTextTable

from core.commands.cli import COMMANDS, build_parser
from core.labels import parse_space
from masktwins_gui.__main__ import _parser as build_window_parser

REPOSITORY = Path(__file__).resolve().parents[1]
README = REPOSITORY / "README.md"
GUIDE = REPOSITORY / "resources" / "guide"
CONTENTS = GUIDE / "contents.md"
PAGES = [README, *sorted(GUIDE.glob("*.md"))]
CHAPTERS = [page for page in PAGES[1:] if page != CONTENTS]
MOST_LINES = 150

FENCED = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"(!?)\[[^\]]*\]\(([^)\s]+)\)")
PATH = re.compile(r"(?<![\w/.-])(?:core|masktwins_gui|resources|tests|packaging)/[\w./-]*\w/?")

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def without_code(text: str) -> str:
    return re.sub(r"`[^`\n]*`", "", FENCED.sub("", text))


def headings(text: str) -> list[str]:
    return re.findall(r"^#+ (.*)$", FENCED.sub("", text), re.MULTILINE)


def anchor(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def commands(text: str) -> list[list[str]]:
    """The command lines of all code blocks that call this program, as its arguments."""
    found = []
    for _, _, block in FENCED.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            for start in (["masktwins"], [".venv/bin/masktwins"], ["-m", "core"]):
                at = next((i for i in range(len(words)) if words[i : i + len(start)] == start), None)
                if at is not None and (start[0] == "-m" or all("=" in word for word in words[:at])):
                    found.append(words[at + len(start) :])
    return found


def parser_of(arguments: list[str]) -> ArgumentParser:
    return build_parser() if arguments and arguments[0] in COMMANDS else build_window_parser()


def parses(arguments: list[str]) -> bool:
    try:
        parser_of(arguments).parse_args(arguments)
    except SystemExit as end:
        return end.code == 0
    return True


def test_the_chapter_of_settings_is_up_to_date(monkeypatch):
    monkeypatch.syspath_prepend(str(REPOSITORY / "packaging"))
    guide_settings = importlib.import_module("guide_settings")
    assert read(guide_settings.CHAPTER) == guide_settings.chapter(), "run packaging/guide_settings.py"
    sys.modules.pop("guide_settings")


def test_the_readme_is_short():
    assert len(read(README).splitlines()) <= MOST_LINES


def test_the_contents_name_every_chapter_once():
    linked = [target for _, target in LINK.findall(read(CONTENTS))]
    assert sorted(linked) == [page.name for page in CHAPTERS]


@each_page
def test_a_page_has_one_title_at_its_start(page):
    text = read(page)
    assert text.startswith("# ")
    assert len(re.findall(r"^# ", FENCED.sub("", text), re.MULTILINE)) == 1


@each_page
def test_links_and_pictures_lead_somewhere(page):
    dead = []
    for _, target in LINK.findall(without_code(read(page))):
        if "://" in target:
            continue
        name, _, part = target.partition("#")
        file = (page.parent / name) if name else page
        if not file.is_file() or (part and part not in map(anchor, headings(read(file)))):
            dead.append(target)
    assert not dead


@each_page
def test_a_chapter_links_only_to_what_the_wheel_has(page):
    if page != README:
        targets = [target for _, target in LINK.findall(without_code(read(page))) if "://" not in target]
        assert all((page.parent / t.partition("#")[0]).resolve().is_relative_to(GUIDE) for t in targets)


@each_page
def test_files_of_the_repository_exist(page):
    text = read(page)
    code = [block for _, _, block in FENCED.findall(text)] + re.findall(r"`([^`\n]+)`", FENCED.sub("", text))
    named = {path for part in code for path in PATH.findall(part)}
    assert not [path for path in named if not (REPOSITORY / path).exists()]


@each_page
def test_commands_are_understood(page):
    assert not [arguments for arguments in commands(read(page)) if not parses(arguments)]


def test_a_wrong_command_is_found():
    block = "```\n{}\n```\n"
    wrong = (
        "masktwins adapt --no-such",
        "masktwins check --source-images D",
        "A=1 masktwins bench --step x",
        "masktwins frobnicate --x",
    )
    assert [parses(*commands(block.format(line))) for line in wrong] == [False] * len(wrong)
    right = ("masktwins run.toml --start", "python -m core doctor --json", "torchrun --x 4 \\\n  -m core adapt A.toml")
    assert [parses(*commands(block.format(line))) for line in right] == [True] * len(right)
    assert commands(block.format("pip install masktwins")) == []


def test_the_examples_of_label_spaces_can_be_read():
    blocks = [block for _, language, block in FENCED.findall(read(GUIDE / "data.md")) if language == "toml"]
    spaces = [parse_space(tomllib.loads(block)) for block in blocks if "[[classes]]" in block]
    assert {str(space.encoding) for space in spaces} == {"ids", "colours", "binary"}
    assert len(spaces) >= 3


@each_page
def test_qt_shows_a_page_without_markup(page, qapp):
    text = read(page)
    document = QTextDocument()
    document.setMarkdown(FENCED.sub("", text))
    lines = document.toPlainText().splitlines()
    assert not [line for line in lines if re.match(r"\s*(\||#+ |```|<!--|\[//\])", line)]
    frames = [frame for frame in document.rootFrame().childFrames() if isinstance(frame, QTextTable)]
    assert len(frames) == len(re.findall(r"^\|[-|]+\|$", FENCED.sub("", text), re.MULTILINE))
