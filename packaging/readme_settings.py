"""Write the README's table of settings from the configuration's fields: `.venv/bin/python packaging/readme_settings.py`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from core.configuration.settings import Setting, settings

README = Path(__file__).resolve().parents[1] / "README.md"
START, END = "<!-- settings: written by packaging/readme_settings.py -->", "<!-- end of settings -->"


def table() -> str:
    """The settings as a Markdown table, in the order of their declaration."""
    rows = ["| setting | default | what it does |", "|---|---|---|"]
    rows += [f"| `{s.path}` | {_default(s)} | {s.description} |" for s in settings()]
    return "\n".join(rows)


def _default(setting: Setting) -> str:
    if setting.default is None:
        return "–"
    value = str(setting.default).lower() if setting.kind == "bool" else str(setting.default)
    return f"`{value}`{' ' + setting.unit if setting.unit else ''}"


def updated(text: str) -> str:
    """The README's text with its table replaced."""
    return re.sub(f"{START}.*{END}", lambda _: f"{START}\n{table()}\n{END}", text, flags=re.DOTALL)


if __name__ == "__main__":
    README.write_text(updated(README.read_text(encoding="utf-8")), encoding="utf-8")
