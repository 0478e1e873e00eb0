"""Code that is on no package index: used from a checkout of its repository, or as it is installed."""

import importlib
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from curation.contract.errors import BackendUnavailableError


def require_code(backend: str, module: str, checkout: str | None, repository: str) -> None:
    """Check that `module` can be imported, without importing it.

    Args:
        checkout: folder of a checkout; None where the package is installed.
        repository: where the code is from, as `git clone` takes it.

    Raises:
        BackendUnavailableError: it is in neither place; names the command that helps.
    """
    top = module.split(".")[0]
    if checkout is None:
        if find_spec(top) is None:
            remedy = f"run: git clone {repository}; then name the folder in `code` of its config"
            raise BackendUnavailableError(backend, f"the code of {repository}", remedy)
        return
    folder = Path(checkout).expanduser() / top
    if not folder.is_dir() and not folder.with_suffix(".py").is_file():
        remedy = f"git clone {repository} {checkout}"
        raise BackendUnavailableError(backend, f"{module} in the checkout {checkout}", f"run: {remedy}")


def import_code(module: str, checkout: str | None) -> ModuleType:
    """Import from a checkout, which comes first on the path only while it is imported.

    Raises:
        ImportError: the code needs a package that is not installed.
    """
    if checkout is None:
        return importlib.import_module(module)
    folder = str(Path(checkout).expanduser().resolve())
    sys.path.insert(0, folder)
    try:
        return importlib.import_module(module)
    finally:
        sys.path.remove(folder)
