"""Show text as it is written. Qt reads a text that looks like HTML as HTML, and an `<img>` in it opens a file or a network path."""

from __future__ import annotations

from html import escape


def plain_tip(text: str) -> str:
    """Return a tool tip that shows `text` as it is: Qt has no plain format for tool tips, so markup is escaped."""
    if "<" not in text and "&" not in text:
        return text  # nothing that Qt could take for HTML
    return f'<div style="white-space: pre-wrap">{escape(text)}</div>'
