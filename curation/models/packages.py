"""Whether the package behind a backend is installed, without importing it."""

from importlib.metadata import version
from importlib.util import find_spec

from curation.contract.errors import BackendUnavailableError


def require_package(backend: str, module: str, distribution: str) -> None:
    """Check that `module` can be imported.

    Raises:
        BackendUnavailableError: it is not installed; names the pip command that installs `distribution`.
    """
    if find_spec(module) is None:
        raise BackendUnavailableError(backend, f"the package {distribution}", f"run: pip install {distribution}")


def revision(backend: str, distribution: str) -> str:
    """Backend and installed version, as manifests name it, e.g. `transnetv2-1.0.5`."""
    return f"{backend}-{version(distribution)}"
