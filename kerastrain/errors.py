"""What kerastrain raises: errors whose message is meant for the user as it stands."""

from kerastrain._core.errors import InputError, KerastrainError, RefusedError, WorkFailedError

__all__ = ["InputError", "KerastrainError", "RefusedError", "WorkFailedError"]
