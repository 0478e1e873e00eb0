"""A request as one file to keep: a .zip of request.yaml and its pictures, which unpacks to what `generate` takes.

Loading takes such a .zip, or a request file alone whose pictures this session has already. A file that somebody loads
never makes us open anything but what it brings along and what its page has.
"""

import json
import posixpath
import tempfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from curation.contract.errors import UsageError
from inference.app.sessions import MAX_PICTURES, Session
from inference.request import Request, map_pictures, parse_request, save_request

_REQUEST_SUFFIXES = (".yaml", ".yml", ".json")
_MAX_REQUEST_BYTES = 1_000_000
_MAX_PICTURE_BYTES = 50_000_000


class _PlainLoader(yaml.SafeLoader):
    """YAML without aliases: with them, a short file can describe a request of billions of points."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not taken here")
        return super().compose_node(parent, index)


def write_bundle(request: Request, session: Session, output: Path) -> None:
    """Write a request of a session, and the pictures that it names, as a .zip."""
    listing = session.folder / "request.yaml"  # paths in it become relative to the session's folder
    save_request(request, listing)
    pictures = {request.first_frame.picture}
    pictures |= {entry.picture for item in request.objects for entry in item.identities}
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as bundle:
        bundle.write(listing, "request.yaml")
        for picture in sorted(pictures):
            bundle.write(picture, picture.name)


def read_bundle(file: Path, session: Session) -> Request:
    """Read a request from what somebody uploaded; its pictures become the session's.

    Args:
        file: .zip, or a request's .yaml or .json.

    Raises:
        UsageError: it is neither, is damaged or too large, or names a picture that it does not bring and that the
            session does not have.
    """
    if file.suffix.lower() == ".zip":
        try:
            with zipfile.ZipFile(file) as bundle:
                return _read_zip(bundle, file.name, session)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
            raise UsageError(f"{file.name}: cannot read this .zip: {error}") from None
    if file.suffix.lower() not in _REQUEST_SUFFIXES:
        raise UsageError(f"{file.name}: not a request; give a .zip that was downloaded here, or a .yaml or .json file")
    if file.stat().st_size > _MAX_REQUEST_BYTES:
        raise UsageError(f"{file.name}: larger than a request can be ({_MAX_REQUEST_BYTES:,} bytes)")
    data = _parse(file.read_bytes(), file.name)
    return parse_request(map_pictures(data, lambda name: str(session.picture(name))), file.name, session.folder)


def _read_zip(bundle: zipfile.ZipFile, origin: str, session: Session) -> Request:
    files = {item.filename: item for item in bundle.infolist() if not item.is_dir()}
    requests = [name for name in files if name.lower().endswith(_REQUEST_SUFFIXES)]
    if len(requests) != 1:
        raise UsageError(f"{origin}: {len(requests) or 'no'} request files in it; there must be one .yaml or .json")
    if len(files) > MAX_PICTURES + 1:
        raise UsageError(f"{origin}: {len(files)} files in it; a request and its pictures are no more than 65")
    folder = PurePosixPath(requests[0]).parent
    data = _parse(_read(bundle, files[requests[0]], _MAX_REQUEST_BYTES), origin)
    added: dict[str, str] = {}

    def take(name: str) -> str:
        if name not in added:
            inside = posixpath.normpath(str(folder / name))
            if inside not in files:
                raise UsageError(f"{origin}: its request names the picture {name!r}, which is not in the .zip")
            with tempfile.NamedTemporaryFile() as unpacked:
                unpacked.write(_read(bundle, files[inside], _MAX_PICTURE_BYTES))
                unpacked.flush()
                added[name] = str(session.folder / session.add_picture(Path(unpacked.name), PurePosixPath(name).name))
        return added[name]

    return parse_request(map_pictures(data, take), origin, session.folder)


def _read(bundle: zipfile.ZipFile, item: zipfile.ZipInfo, limit: int) -> bytes:
    """The bytes of a file; sizes in its header are claims, so no more is unpacked than the limit."""
    with bundle.open(item) as packed:
        content = packed.read(limit + 1)
    if len(content) > limit:
        raise UsageError(f"{item.filename}: larger than {limit:,} bytes")
    return content


def _parse(content: bytes, origin: str) -> dict[str, Any]:
    try:
        # By way of JSON only plain values are left: YAML's bytes would pass for paths that nobody has looked at.
        data = json.loads(json.dumps(_PlainLoader(content.decode("utf-8")).get_single_data()))
    except UnicodeDecodeError:
        raise UsageError(f"{origin}: its request is not UTF-8 text") from None
    except (yaml.YAMLError, RecursionError, TypeError, ValueError) as error:
        raise UsageError(f"{origin}: its request is not plain YAML or JSON ({' '.join(str(error).split())})") from None
    if not isinstance(data, dict):
        raise UsageError(f"{origin}: not a request; it needs at least first_frame and objects")
    return data
