"""A backend that cannot run is never replaced in silence: the error says what could be chosen instead."""

from collections.abc import Iterator
from contextlib import contextmanager

from curation.contract.errors import BackendUnavailableError


@contextmanager
def or_choose(instead: str) -> Iterator[None]:
    """Around the building of a backend. `instead`: another choice, as `--set` takes it.

    Raises:
        BackendUnavailableError: the same, with the choice added.
    """
    try:
        yield
    except BackendUnavailableError as error:
        remedy = f"{error.remedy}; or choose another backend: --set {instead}"
        raise BackendUnavailableError(error.backend, error.needs, remedy) from None
