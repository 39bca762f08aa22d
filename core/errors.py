"""Errors that a user can cause. Each message says what happened and what to do next."""


class ConfigError(ValueError):
    """A configuration that cannot be used. The message names the setting, the value and the remedy."""


class RunError(RuntimeError):
    """A run that cannot go on. The message says what happened and what to do next."""
