"""The user guide in a window of its own: the chapters at the left, the text at the right."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QSignalBlocker, Qt, QUrl
from PySide6.QtGui import QDesktopServices, QImage, QTextCursor, QTextDocument
from PySide6.QtWidgets import QDialog, QListWidget, QListWidgetItem, QSplitter, QTextBrowser, QVBoxLayout, QWidget

from masktwins_gui.models import guide
from masktwins_gui.widgets.controls import describe

MARGIN = 40  # px of the page's width that no picture fills


class GuideBrowser(QTextBrowser):
    """Shows the guide's own Markdown, which ships with the program. Reads nothing else from the disk or the network."""

    def loadResource(self, kind: int, name: QUrl | str) -> Any:
        data = guide.picture(QUrl(name).toString()) if kind == QTextDocument.ResourceType.ImageResource else None
        if data is None:
            return None
        picture = QImage.fromData(data)
        width = max(200, self.viewport().width() - MARGIN)
        smooth = Qt.TransformationMode.SmoothTransformation
        return picture if picture.width() <= width else picture.scaledToWidth(width, smooth)


class HelpWindow(QDialog):
    """Stays open beside the window. Links between chapters work; a link to the web opens the browser when it is clicked."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("help")
        self.setWindowTitle(self.tr("User guide"))
        self.setWindowFlag(Qt.WindowType.WindowMaximizeButtonHint)
        self.resize(980, 640)
        self.chapter = ""
        self.list = QListWidget()
        describe(self.list, "help.chapters", self.tr("Chapters"), self.tr("Choose a chapter"))
        for name, title in [(guide.CONTENTS, self.tr("Contents")), *guide.chapters()]:
            item = QListWidgetItem(title)
            item.setData(Qt.ItemDataRole.UserRole, name)
            self.list.addItem(item)
        self.text = GuideBrowser()
        describe(
            self.text,
            "help.text",
            self.tr("Text of the chapter"),
            self.tr("The arrow keys scroll; Tab goes to the links"),
        )
        self.text.setOpenLinks(False)
        self.text.document().setDocumentMargin(16)
        self.list.setSpacing(2)
        splitter = QSplitter(Qt.Orientation.Horizontal)
        splitter.setChildrenCollapsible(False)
        splitter.addWidget(self.list)
        splitter.addWidget(self.text)
        splitter.setSizes([230, 750])
        splitter.setStretchFactor(1, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 8, 8)
        layout.addWidget(splitter)

        self.list.currentItemChanged.connect(self._choose)
        self.text.anchorClicked.connect(self._follow)

    def show_chapter(self, name: str, fragment: str = "") -> None:
        """Show a chapter from its beginning, or from the heading that a fragment names."""
        if name != self.chapter:
            self.chapter = name
            self.text.setMarkdown(guide.text(name))
            blocker = QSignalBlocker(self.list)
            self.list.setCurrentRow(self._row(name))
            blocker.unblock()
        self._scroll_to(fragment)
        self.text.setFocus()

    def _row(self, name: str) -> int:
        names = [self.list.item(row).data(Qt.ItemDataRole.UserRole) for row in range(self.list.count())]
        return names.index(name) if name in names else -1

    def _choose(self, item: QListWidgetItem | None) -> None:
        if item is not None:
            self.show_chapter(item.data(Qt.ItemDataRole.UserRole))
            self.list.setFocus()  # the arrow keys go on through the list

    def _follow(self, url: QUrl) -> None:
        if url.scheme() in ("http", "https"):
            QDesktopServices.openUrl(url)
        elif url.isRelative():
            self.show_chapter(url.path().removesuffix(".md") or self.chapter, url.fragment())

    def _scroll_to(self, fragment: str) -> None:
        block = self.text.document().begin()
        while fragment and block.isValid():
            if block.blockFormat().headingLevel() and guide.anchor(block.text()) == fragment:
                break
            block = block.next()
        self.text.setTextCursor(QTextCursor(block if block.isValid() else self.text.document().begin()))
        bar = self.text.verticalScrollBar()
        bar.setValue(bar.value() + self.text.cursorRect().top() if fragment else 0)
