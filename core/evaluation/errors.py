"""Errors of predictions. Importable without torch."""


class PredictionError(RuntimeError):
    """Raised when a prediction cannot be made. The message says what to do instead."""


class PredictionStoppedError(PredictionError):
    """Raised when a prediction was cancelled between two windows."""
