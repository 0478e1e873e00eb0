"""Base of every config: frozen, typed, and helpful about unknown keys."""

import difflib
import hashlib
import json
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from curation.contract.errors import UsageError

T = TypeVar("T", bound="Config")


class Config(BaseModel):
    """Frozen pydantic model that rejects unknown keys. Subclass it beside the code it configures."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def fingerprint(self) -> str:
        """First 12 hex digits of the SHA-256 of the canonical JSON: changes when any value does."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def parse_config(model: type[T], data: dict[str, Any], origin: str) -> T:
    """Validate `data` as `model`, naming the offending key, where it stood and what was probably meant.

    Raises:
        UsageError: one line per wrong key, joined by "; ".
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        problems = []
        for item in error.errors():
            path = ".".join(str(part) for part in item["loc"])
            if item["type"] == "extra_forbidden":
                problems.append(_unknown_key(model, item["loc"], path))
            elif item["type"] == "value_error":
                problems.append(f"{path}: {item['msg'].removeprefix('Value error, ')}".removeprefix(": "))
            elif item["type"] == "missing":
                problems.append(f"{path}: is missing")
            elif item["type"] == "model_type":
                problems.append(f"{path}: this is a section, set one of its keys, got {item['input']!r}")
            else:
                problems.append(f"{path}: {item['msg'].lower()}, got {item['input']!r}")
        raise UsageError(f"{origin}: " + "; ".join(problems)) from None


def _unknown_key(model: type[Config], location: tuple[int | str, ...], path: str) -> str:
    known = _known_keys(model, location[:-1])
    guess = difflib.get_close_matches(str(location[-1]), known, n=1)
    if guess:
        parent = ".".join(str(part) for part in location[:-1])
        return f"unknown key {path!r}, did you mean {f'{parent}.{guess[0]}'.lstrip('.')!r}?"
    return f"unknown key {path!r}; known keys here: {', '.join(sorted(known))}"


def _known_keys(model: type[Config], parents: tuple[int | str, ...]) -> list[str]:
    """Field names of the (sub)model that the keys and list positions `parents` lead to."""
    current: type[BaseModel] = model
    for part in parents:
        field = current.model_fields.get(str(part))  # none for a position in a list
        current = _model_inside(field.annotation if field else None) or current
    return list(current.model_fields)


def _model_inside(annotation: Any) -> type[BaseModel] | None:
    """The model that an annotation names, also as one of a list or of several choices."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_inside, get_args(annotation))), None)
