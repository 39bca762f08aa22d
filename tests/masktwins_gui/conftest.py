"""Fixtures of the window's tests: offscreen, with settings of their own, and nothing left running behind them."""

import gc
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import pytest
import shiboken6
from PySide6.QtCore import QCoreApplication, QEvent, QSettings, QThread, QTimer
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from core.configuration import settings
from core.configuration.config import RunConfig
from core.demo.data import make_demo
from masktwins_gui import theme
from masktwins_gui.main_window import MainWindow


class PatientBot(QtBot):
    """Waits a minute where nothing else is said: a busy machine is slow, not wrong."""

    def waitUntil(self, callback: Callable[[], object], *, timeout: int = 60_000) -> None:
        super().waitUntil(callback, timeout=timeout)

    def waitSignal(self, signal: Any, *, timeout: int = 60_000, **options: Any) -> Any:
        return super().waitSignal(signal, timeout=timeout, **options)


@pytest.fixture
def qtbot(qapp: QApplication, request: pytest.FixtureRequest) -> QtBot:
    return PatientBot(request)


@pytest.fixture(autouse=True)
def nothing_left_behind(qapp: QApplication) -> Iterator[None]:
    """Fail on a QThread, a repeating QTimer or a Python thread that outlives its test."""
    before = set(threading.enumerate())
    gc.freeze()  # only what the test makes is looked through below: torch alone brings half a million objects
    yield
    qapp.processEvents()
    alive = [o for o in gc.get_objects() if issubclass(type(o), QThread | QTimer) and shiboken6.isValid(o)]
    gc.unfreeze()
    threads = [o for o in alive if isinstance(o, QThread) and o is not QThread.currentThread() and o.isRunning()]
    timers = [o for o in alive if isinstance(o, QTimer) and o.isActive() and not o.isSingleShot()]
    ours = [t for t in threads if t is not qapp.thread()]
    assert not ours, f"running threads: {ours}"
    assert not timers, f"running timers: {[(t.interval(), t.parent()) for t in timers]}"
    leaked = [t for t in set(threading.enumerate()) - before if not t.daemon]
    assert not leaked, f"running Python threads: {leaked}"


@pytest.fixture(autouse=True)
def dark(qapp: QApplication) -> None:
    """Every test begins with the dark palette, without the style sheet, which takes a second per window."""
    if qapp.property("theme") != theme.Theme.DARK or qapp.styleSheet():
        qapp.setStyleSheet("")
        theme.prepare(qapp, theme.Theme.DARK)


@pytest.fixture
def store(tmp_path: Path) -> QSettings:
    return QSettings(str(tmp_path / "settings.ini"), QSettings.Format.IniFormat)


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    """Two cameras, six tiny images each, and settings for a run of seconds."""
    data = make_demo(tmp_path_factory.mktemp("demo"), source=6, target=6, evaluation=3, size=(64, 96))
    changes = {
        "network.architecture": "unet",
        "network.encoder": "resnet18",
        "network.weights": "none",
        "mask.block_size": 8,
        "training.steps": 6,
        "training.source_steps": 4,
        "training.crop_size": 64,
        "training.warmup_steps": 1,
        "training.log_interval": 1,
        "training.preview_interval": 5,
        "training.checkpoint_interval": 1000,
        "training.evaluation_interval": 0,
        "training.device": "cpu",
        "training.threads": 1,
    }
    return settings.with_changes(RunConfig(data=data), changes)


@pytest.fixture
def project_file(small_data: RunConfig, tmp_path: Path) -> Path:
    path = tmp_path / "project" / "project.toml"
    path.parent.mkdir()
    settings.save(small_data, path)
    return path


@pytest.fixture
def make_window(qtbot: Any, store: QSettings) -> Iterator[Callable[..., MainWindow]]:
    """Make windows; each is closed at the end without questions, and its threads are waited for.

    qtbot.addWidget would delete a window that is asking whether to stop its run, with the run's thread in it.
    """
    made: list[MainWindow] = []

    def make(engine: Any = None) -> MainWindow:
        window = MainWindow(store, engine)
        window.show()
        window.make_pages()
        made.append(window)
        return window

    yield make
    for window in made:
        window.project._saved = window.project.config
        if window.controller.state.active:
            window.controller.stop()
            qtbot.waitUntil(lambda window=window: not window.controller.state.active)
        window.close()
        qtbot.waitUntil(lambda window=window: window.controller.quiet)
        window.deleteLater()
        QCoreApplication.sendPostedEvents(window, QEvent.Type.DeferredDelete)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The offscreen platform complains about windows with a minimum size and about raising; all other Qt warnings fail."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.qt_log_ignore("This plugin does not support (propagateSizeHints|raise)"))
