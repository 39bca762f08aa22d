"""Find out the device in a process of its own: importing torch here would stall the window."""

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
        self.summary = ""  # every finding in a line of its own, once they are known
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
        self.summary = "\n".join(f"{finding['name']}: {finding['value']}" for finding in findings(output))
        self.found.emit(*parse(output))


def findings(output: str) -> list[dict[str, str]]:
    """Read the findings that `doctor --json` printed in its last line; none where it printed something else."""
    try:
        found = json.loads(output.strip().splitlines()[-1])["findings"]
        return [{name: str(finding.get(name, "")) for name in ("name", "value", "remedy")} for finding in found]
    except (IndexError, ValueError, KeyError, TypeError, AttributeError):
        return []


def parse(output: str) -> tuple[str, str]:
    """(device, reason) from what `doctor --json` printed."""
    finding = next((f for f in findings(output) if f["name"] == "device"), None)
    if finding is None:
        return "", "The device is unknown; run `masktwins doctor` in a terminal to find out why."
    match = re.match(r"(\S+) \((.*)\)$", finding["value"])
    if match is None:
        return "", finding["value"]
    reason = f"{match[2]}. {finding['remedy']}" if finding["remedy"] else match[2]
    return match[1], reason
