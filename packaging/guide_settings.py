"""Write the guide's chapter of settings from the configuration's fields: `.venv/bin/python packaging/guide_settings.py`.

The whole file is generated; change a field's title, unit or description in the configuration, not the chapter.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from core.configuration.config import RunConfig
from core.configuration.settings import SECTIONS, Setting, settings

CHAPTER = Path(__file__).resolve().parents[1] / "resources" / "guide" / "settings.md"

INTRODUCTION = """\
# Settings

Every setting of a run has a name of the form `section.field`. The name is the same in three places:

- in `run.toml` and project files, as `field` in the table `[section]`;
- on the command line, as `--set section.field=value`;
- in the window, as the title given here. The tooltip shows the description.

A value after `--set` is read as TOML, and as plain text if it is no valid TOML. A dash in the column *Default* means that
the setting is empty. A loss with the weight 0 is not computed at all.

The tables are written by `packaging/guide_settings.py` from the fields of the configuration.
"""


def chapter() -> str:
    """The whole chapter as Markdown, its sections and settings in the order of their declaration."""
    return "\n".join([INTRODUCTION, *(_section(name) for name in SECTIONS)])


def _section(name: str) -> str:
    model = RunConfig.model_fields[name].annotation
    found = list(settings(name))
    lines = [f"## {name}", "", (getattr(model, "__doc__", None) or "").strip(), "", *_table(found)]
    if live := [f"`{setting.path}`" for setting in found if setting.live]:
        lines += ["", f"These may be changed while a run trains: {', '.join(live)}."]
    return "\n".join([*lines, ""])


def _table(found: Sequence[Setting]) -> list[str]:
    rows = ["| Setting | Title | Default | Unit | Description |", "|---|---|---|---|---|"]
    for setting in found:
        cells = (f"`{setting.path}`", setting.title, _default(setting), setting.unit, setting.description)
        rows.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return rows


def _default(setting: Setting) -> str:
    if setting.default is None or setting.default == "":
        return "–"
    return f"`{str(setting.default).lower() if setting.kind == 'bool' else setting.default}`"


if __name__ == "__main__":
    CHAPTER.write_text(chapter(), encoding="utf-8")
