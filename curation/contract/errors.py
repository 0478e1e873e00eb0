"""Errors for the person who meets them: what, where, why, and what to do."""


class CurationError(Exception):
    """The work failed; commands exit with code 1."""


class UsageError(CurationError):
    """A bad argument, path or config; commands exit with code 2."""


class VideoError(CurationError):
    """One video cannot be read. Costs that video and nothing else.

    The message is one line and becomes `videos.error`.
    """


class StorageError(CurationError):
    """Storage failed for so long that an item could not be read. Nothing is wrong with it; the next run tries again."""


class ModelError(CurationError):
    """A model could not do its work on one item: out of memory, or a server in trouble.

    The item is marked, and the run goes on or ends as `engine.on_error` says; the next run tries it again.
    """


class BackendUnavailableError(UsageError):
    """A model backend was asked for that is not installed or has no weights here."""

    def __init__(self, backend: str, needs: str, remedy: str) -> None:
        super().__init__(f"backend {backend!r} is not available: it needs {needs}; {remedy}")
        self.backend = backend
        self.needs = needs
        self.remedy = remedy
