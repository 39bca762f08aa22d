"""Finds out the device in a process of its own: importing torch here would stall the window."""

from __future__ import annotations

import json
import re
import sys

from PySide6.QtCore import QObject, QProcess, Signal


class DeviceProbe(QObject):
    """Runs `masktwins doctor --json` once. `found` carries the device and the reason in words."""

    found = Signal(str, str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._process = QProcess(self)
        self._process.finished.connect(self._read)

    def start(self) -> None:
        frozen = bool(getattr(sys, "frozen", False))
        command = ["doctor", "--json"] if frozen else ["-m", "core", "doctor", "--json"]
        self._process.start(sys.executable, command)

    def close(self) -> None:
        if self._process.state() != QProcess.ProcessState.NotRunning:
            self._process.finished.disconnect(self._read)
            self._process.kill()
            self._process.waitForFinished(2000)

    def _read(self) -> None:
        output = bytes(self._process.readAllStandardOutput().data()).decode("utf-8", "replace")
        self.found.emit(*parse(output))


def parse(output: str) -> tuple[str, str]:
    """(device, reason) from what `doctor --json` printed."""
    lines = output.strip().splitlines()
    try:
        findings = json.loads(lines[-1])["findings"]
        finding = next(f for f in findings if f["name"] == "device")
        match = re.match(r"(\S+) \((.*)\)$", finding["value"])
    except (IndexError, ValueError, KeyError, TypeError, StopIteration):
        return "", "the device could not be found out; `masktwins doctor` says more"
    if match is None:
        return "", str(finding["value"])
    reason = f"{match[2]}. {finding['remedy']}" if finding.get("remedy") else match[2]
    return match[1], reason
