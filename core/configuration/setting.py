"""How a setting is declared: one field with its title, description, unit and range. Importable without torch."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


def setting(
    default: Any, title: str, description: str, *, unit: str = "", live: bool = False, advanced: bool = False, **kw: Any
) -> Any:
    """Declare one setting. `live`: may change while a run trains. `advanced`: hidden at first in the window."""
    extra = {"unit": unit, "live": live, "advanced": advanced}
    return Field(default, title=title, description=description, json_schema_extra=extra, **kw)


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)
