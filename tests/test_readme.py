import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]


def test_the_table_of_settings_is_the_configurations(monkeypatch):
    monkeypatch.syspath_prepend(str(REPOSITORY / "packaging"))
    import readme_settings

    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert readme_settings.table() in text
    assert readme_settings.updated(text) == text
    sys.modules.pop("readme_settings")
