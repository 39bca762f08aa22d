"""What an export can end with, other than a bundle."""


class ExportError(RuntimeError):
    """An export that failed. The message says what happened and what to do; nothing is left behind."""


class ExportStoppedError(ExportError):
    """The export was cancelled."""
