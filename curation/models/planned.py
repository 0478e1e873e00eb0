"""Backends that a preset names and that this version cannot run yet."""

from curation.contract.errors import BackendUnavailableError


def planned(backend: str, instead: str) -> BackendUnavailableError:
    """The error to raise for one. `instead`: what to set until it is there, as `--set` takes it."""
    return BackendUnavailableError(
        backend, "a later version of this project, which will run it on a GPU", f"until then use --set {instead}"
    )
