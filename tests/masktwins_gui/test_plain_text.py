"""No name or error text is shown as HTML: the rule is checked in the source, and on a window that shows hostile names."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QTextDocument
from PySide6.QtWidgets import QLabel

from core.labels import LabelSpace
from masktwins_gui import theme
from masktwins_gui.models.curves import CurveStore, Mark
from masktwins_gui.plain_text import plain_tip
from masktwins_gui.widgets.class_legend import ClassLegend
from masktwins_gui.widgets.curves import CurvePanel
from masktwins_gui.widgets.error_dialog import ErrorDialog

PACKAGE = Path(theme.__file__).parent
# Files that build HTML of our own; each escapes what it puts into it, which the tests below show.
OUR_OWN_HTML = {"widgets/class_legend.py", "widgets/curves.py", "widgets/help_window.py"}
TIPS = {"setToolTip", "setStatusTip", "setWhatsThis", "setItemData"}
ALWAYS_HTML = {
    "setHtml",
    "insertHtml",
    "appendHtml",
    "setMarkdown",
    "QErrorMessage",
    "QWhatsThis",
    "QTextEdit",
    "QToolTip",
}
# They show a QLabel of their own whose format cannot be set.
WITHOUT_FORMAT = {
    ("QMessageBox", "question"), ("QMessageBox", "information"), ("QMessageBox", "warning"), ("QMessageBox", "critical"),
    ("QMessageBox", "about"), ("QInputDialog", "getText"), ("QInputDialog", "getItem"), ("QInputDialog", "getInt"),
}  # fmt: skip
ATTACK = '<img src="file:///etc/passwd" width=900><b>bold</b> & so'


def name_of(call: ast.expr) -> str:
    return call.attr if isinstance(call, ast.Attribute) else call.id if isinstance(call, ast.Name) else ""


def is_ours(text: ast.expr) -> bool:
    """Whether a text is known while the program is written: a literal, a translated one, or a choice of them."""
    match text:
        case ast.Constant():
            return True
        case ast.IfExp(body=body, orelse=other):
            return is_ours(body) and is_ours(other)
        case ast.Call(func=ast.Attribute(attr="tr"), args=[ast.Constant()]):
            return True
        case ast.Call(func=function):
            return name_of(function) == "plain_tip"
    return False


def sets_format(node: ast.AST) -> bool:
    """Whether a function gives what it makes a text format."""
    calls = (inner for inner in ast.walk(node) if isinstance(inner, ast.Call))
    return isinstance(node, ast.FunctionDef) and any(name_of(call.func) == "setTextFormat" for call in calls)


def violations(source: str, file: str) -> Iterator[str]:
    tree = ast.parse(source)
    our_words = {
        target.id: node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    formatted = {id(inner) for node in ast.walk(tree) if sets_format(node) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        where = f"{file}:{getattr(node, 'lineno', 0)}"
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=owner), attr=method), args=arguments) if (
                owner, method,
            ) in WITHOUT_FORMAT:  # fmt: skip
                texts = [our_words.get(a.id, a) if isinstance(a, ast.Name) else a for a in arguments[1:]]
                if not all(is_ours(text) for text in texts):
                    yield f"{where} {owner}.{method} may show a name as HTML: make a QMessageBox with a plain text format"
            case ast.Call(func=function) if name_of(function) in ("QLabel", "QMessageBox", "QProgressDialog"):
                if id(node) not in formatted:
                    yield f"{where} {name_of(function)} without a text format: use theme.label, or call setTextFormat"
            case ast.Call(func=function, args=[*_, tip]) if name_of(function) in TIPS - {"setItemData"}:
                if not is_ours(tip):
                    yield f"{where} {name_of(function)} may show a name as HTML: wrap the text in plain_tip"
            case ast.Call(func=ast.Attribute(attr="setItemData"), args=[_, tip, ast.Attribute(attr="ToolTipRole")]):
                if not is_ours(tip):
                    yield f"{where} an item's tool tip may show a name as HTML: wrap the text in plain_tip"
            case ast.match_case(pattern=ast.MatchValue(value=ast.Attribute(attr="ToolTipRole")), body=body):
                if not all(isinstance(line, ast.Return) and line.value and is_ours(line.value) for line in body):
                    yield f"{file}:{body[0].lineno} a model's tool tip may show a name as HTML: return plain_tip(…)"
            case ast.Call(func=ast.Attribute(attr="addRow"), args=[ast.Call() | ast.JoinedStr() as title, _]):
                if not is_ours(title) and name_of(getattr(title, "func", title)) not in ("label", "plain_label"):
                    yield f"{where} a row's title may show a name as HTML: give theme.label(…) in its place"
            case ast.ClassDef(bases=bases) if any(name_of(base) == "QLabel" for base in bases):
                if not any(map(sets_format, node.body)):
                    yield f"{where} a QLabel without a text format: call setTextFormat in its __init__"
            case ast.Attribute(attr="RichText" | "AutoText" | "MarkdownText") if file not in OUR_OWN_HTML:
                yield f"{where} {node.attr}: only {sorted(OUR_OWN_HTML)} make HTML"
            case ast.Attribute(attr=word) | ast.Name(id=word) if word in ALWAYS_HTML and file not in OUR_OWN_HTML:
                yield f"{where} {word} shows HTML: use QPlainTextEdit, or theme.label"


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_text_is_plain_unless_we_wrote_it(path):
    found = list(violations(path.read_text(encoding="utf-8"), path.relative_to(PACKAGE).as_posix()))
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "line",
    [
        "label = QLabel(name)",
        "label = QtWidgets.QLabel()",
        "class Legend(QLabel):\n    def __init__(self): ...",
        "label.setTextFormat(Qt.TextFormat.AutoText)",
        "button.setToolTip(path.name)",
        "button.setToolTip(self.tr('{0} files').format(name))",
        "box.setItemData(0, description, Qt.ItemDataRole.ToolTipRole)",
        "match role:\n    case Qt.ItemDataRole.ToolTipRole:\n        return str(path)",
        "QMessageBox.question(self, self.tr('Save?'), name)",
        "box = QMessageBox(self)",
        "QToolTip.showText(point, name)",
        "view.setHtml(name)",
        "QInputDialog.getText(self, title, name)",
        "form.addRow(f'{name}', editor)",
        "form.addRow(self.tr('{0}').format(name), editor)",
    ],
)
def test_the_rule_finds_each_way_to_break_it(line):
    assert list(violations(line, "planted.py"))


def plain(tip: str) -> str:
    """What a tool tip shows: HTML if Qt takes it for HTML."""
    document = QTextDocument()
    document.setHtml(tip)
    return document.toPlainText()


@pytest.mark.parametrize("text", [ATTACK, f"line\n  {ATTACK}", "a &lt;b&gt; c", "<?xml?>", "1 < 2", "a & b"])
def test_a_tool_tip_shows_markup_as_it_is_written(qapp, text):
    assert "<img" not in plain_tip(text)
    assert plain(plain_tip(text)) == text


def test_a_usual_tool_tip_stays_as_it_is():
    assert plain_tip("Two lines,\nas they are.") == "Two lines,\nas they are."


def test_labels_and_dialogs_are_plain(qtbot):
    dialog = ErrorDialog(ATTACK, ATTACK, ATTACK, ATTACK)
    qtbot.addWidget(dialog)
    labels = dialog.findChildren(QLabel)
    assert len(labels) == 3
    assert all(label.textFormat() is Qt.TextFormat.PlainText and label.text() == ATTACK for label in labels)


def test_our_own_html_escapes_names(qtbot):
    legend = ClassLegend()
    qtbot.addWidget(legend)
    legend.set_space(LabelSpace(name="hostile", classes=("road", ATTACK), palette=((1, 2, 3), (4, 5, 6))))
    assert "<img" not in legend.text()
    assert ATTACK in plain(legend.text()).replace("\xa0", " ")
    store = CurveStore()
    panel = CurvePanel(store, panel="losses")
    qtbot.addWidget(panel)
    store.add([(1, {ATTACK: 0.5})])
    store.mark(Mark(1, "change", ATTACK))
    assert "<img" not in panel.text_at(1)
    assert plain(panel.text_at(1)).count("<b>bold</b> & so") == 2
