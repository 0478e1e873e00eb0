"""Reading and writing of run folders: Parquet datasets, and a few small YAML / JSON files beside them.

A run folder is a local path or an URI (s3://, gs://, az://). A shard gets its final name only when it is whole: locally
by renaming a finished temporary file, on object stores because an upload becomes visible when it is complete. Storage
that fails for a while is waited for.
"""

import io
import os
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from curation.contract.errors import UsageError
from curation.contract.schemas import SCHEMAS
from curation.contract.storage import open_filesystem, patiently
from curation.contract.tables import records

# Readers of single rows (training, in random order) decode a row group for each; larger ones compress hardly better.
_ROW_GROUP_BYTES = 1 << 20
_WITHOUT_FOLDERS = ("s3", "gcs", "abfs")


class RunFolder:
    """A run folder on any file system. Cheap to make, picklable through its `uri`.

    Raises:
        UsageError: nothing here can open such an URI.
    """

    def __init__(self, uri: str | Path) -> None:
        self.uri = str(uri)
        if "://" in self.uri:
            try:
                self._fs, self._root = open_filesystem(self.uri)
            except OSError as error:
                raise UsageError(f"{self.uri}: {error}") from None
        else:
            self.uri = str(Path(uri).expanduser().absolute())
            self._fs, self._root = pafs.LocalFileSystem(), self.uri
        self._local = isinstance(self._fs, pafs.LocalFileSystem)

    def __reduce__(self) -> tuple[type["RunFolder"], tuple[str]]:
        return RunFolder, (self.uri,)

    def path(self, name: str) -> str:
        """Where `name` lies, as a person would type it."""
        base, question, query = self.uri.partition("?")
        return f"{base.rstrip('/')}/{name}{question}{query}"

    # Small files

    def exists(self, name: str = "") -> bool:
        return self._info(name).type != pafs.FileType.NotFound

    def is_free(self) -> bool:
        """Whether there is nothing yet at this place: neither a file nor a folder with something in it."""
        if self._info("").type == pafs.FileType.File:
            return False
        return not self._fs.get_file_info(pafs.FileSelector(self._full(""), allow_not_found=True))

    def read_bytes(self, name: str) -> bytes:
        return patiently(lambda: self._read(self._full(name)), name)

    def write_bytes(self, name: str, data: bytes) -> None:
        """Write a file so that nobody ever sees half of it."""
        patiently(lambda: self._write(self._full(name), data), name)

    def _read(self, target: str) -> bytes:
        with self._fs.open_input_stream(target) as stream:
            return stream.read()

    def _write(self, target: str, data: bytes) -> None:
        if self._fs.type_name not in _WITHOUT_FOLDERS:
            self._fs.create_dir(target.rsplit("/", 1)[0], recursive=True)
        if not self._local:
            with self._fs.open_output_stream(target) as stream:
                stream.write(data)
            return
        folder, base = target.rsplit("/", 1)
        partial = Path(folder) / f".{base}.{os.getpid()}.partial"
        try:
            with partial.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)

    def delete(self, name: str) -> None:
        if self.exists(name):
            patiently(lambda: self._fs.delete_file(self._full(name)), name)

    def files(self, folder: str, suffix: str) -> list[str]:
        """Names (relative to the run folder) of the files right in `folder`, sorted."""
        selector = pafs.FileSelector(self._full(folder), allow_not_found=True)
        found = patiently(lambda: self._fs.get_file_info(selector), folder)
        names = (info.base_name for info in found if info.type == pafs.FileType.File)
        return sorted(f"{folder}/{name}" for name in names if name.endswith(suffix) and not name.startswith("."))

    def remove_partial(self) -> int:
        """Remove files of datasets and ledgers that a killed writer left half written; returns how many.

        Only for the one run that is at work in the folder. Object stores show no half files.
        """
        left = list(Path(self._root).glob("*/**/.*.partial")) if self._local else []
        for file in left:
            file.unlink(missing_ok=True)
        return len(left)

    def size(self, name: str) -> int:
        """Bytes of a file."""
        return self._info(name).size

    # Datasets

    def write_shard(self, dataset: str, shard: str, data: pa.Table) -> None:
        """Write `RUN/dataset/shard.parquet`, replacing one of the same name at once."""
        buffer = io.BytesIO()
        rows = max(1, data.num_rows * _ROW_GROUP_BYTES // max(1, data.nbytes))
        pq.write_table(data, buffer, compression="zstd", row_group_size=rows)
        self.write_bytes(f"{dataset}/{shard}.parquet", buffer.getvalue())

    def shards(self, dataset: str) -> list[str]:
        """Shard names of a dataset, without folder and suffix."""
        return [name.split("/")[-1].removesuffix(".parquet") for name in self.files(dataset, ".parquet")]

    def read_shard(self, dataset: str, shard: str, columns: list[str] | None = None) -> pa.Table:
        data = pa.BufferReader(self.read_bytes(f"{dataset}/{shard}.parquet"))
        # Not pq.read_table: pyarrow 26 then reads ahead in threads, and aborts a process that ends soon after (5 of 40
        # times on two busy cores).
        return pq.ParquetFile(data, pre_buffer=False).read(columns=columns, use_threads=False)

    def open_shard(self, dataset: str, shard: str) -> pq.ParquetFile:
        """A shard of which only some columns or row groups are read; pass use_threads=False, as above."""
        file = self._fs.open_input_file(self._full(f"{dataset}/{shard}.parquet"))
        return pq.ParquetFile(file, pre_buffer=False)

    def read(self, dataset: str, columns: list[str] | None = None, schema: pa.Schema | None = None) -> pa.Table:
        """All rows. A manifest without shards is an empty table of its schema."""
        parts = [self.read_shard(dataset, shard, columns) for shard in self.shards(dataset)]
        if parts:
            return pa.concat_tables(parts)
        full = (schema or SCHEMAS[dataset]).empty_table()
        return full.select(columns) if columns else full

    def scan(self, dataset: str, schema: pa.Schema | None = None) -> pl.LazyFrame:
        """All rows, lazily: only what is asked for is read. Empty with the right columns when nothing was written.

        Args:
            schema: of a dataset that is no manifest.
        """
        shards = self.shards(dataset)
        if not shards:
            return pl.LazyFrame(pl.from_arrow((schema or SCHEMAS[dataset]).empty_table()))
        if self._local:
            return pl.scan_parquet(self.path(f"{dataset}/*.parquet"))
        # By pyarrow's file system: polars' own would need its credentials and endpoint told anew.
        files = [self._full(f"{dataset}/{shard}.parquet") for shard in shards]
        return pl.scan_pyarrow_dataset(pads.dataset(files, filesystem=self._fs, format="parquet"))

    def _full(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}".rstrip("/")

    def _info(self, name: str) -> Any:
        return patiently(lambda: self._fs.get_file_info([self._full(name)])[0], name or self.uri)


def open_run(uri: str | Path) -> RunFolder:
    """An existing run folder.

    Raises:
        UsageError: there is no run at that place.
    """
    run = RunFolder(uri)
    if not run.exists("run.yaml"):
        raise UsageError(f"{run.uri}: not a run folder (no run.yaml); make one with `python -m curation run`")
    return run


def read_manifest(run: str | Path, name: str) -> pa.Table:
    """All rows of a manifest, sorted as its shards are; empty with the right schema when nothing was written."""
    return RunFolder(run).read(name)


def find_record(run: RunFolder, manifest: str, key: str, value: str) -> dict[str, Any] | None:
    """The first record whose column `key` has that value. Only its shard is read whole."""
    shard = find_shard(run, manifest, key, value)
    if shard is None:
        return None
    rows = run.read_shard(manifest, shard)
    return records(rows.slice(rows[key].to_pylist().index(value), 1))[0]


def find_shard(run: RunFolder, manifest: str, key: str, value: str) -> str | None:
    """Name of the first shard with a record whose column `key` has that value.

    Manifests that are written together (objects, tracks, events) have the rest of what is known of it in the shards of
    the same name.
    """
    for shard in run.shards(manifest):
        if value in run.read_shard(manifest, shard, [key])[key].to_pylist():
            return shard
    return None


def scan_manifest(run: str | Path, name: str) -> pl.LazyFrame:
    """A manifest as a lazy polars frame; empty with the right columns when nothing was written."""
    return RunFolder(run).scan(name)
