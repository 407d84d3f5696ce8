"""Files that the workers of one build share: cut buckets and spilled partial rows, on any Beam filesystem."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import cast

from apache_beam.io.filesystem import BeamIOError, CompressionTypes
from apache_beam.io.filesystems import FileSystems


@dataclass(frozen=True)
class WorkDir:
    """A folder for the intermediate files of one build; every file appears whole or not at all.

    Attributes:
        root: a local path or a URL of a filesystem that Beam knows (``gs://`` needs the extra ``gcp``).
    """

    root: str

    def _path(self, name: str) -> str:
        return FileSystems.join(self.root, *name.split("/"))

    def write(self, name: str, data: bytes) -> None:
        """Write a file under ``name``, replacing an older one in one step.

        Raises:
            BeamIOError: the filesystem refused.
        """
        path = self._path(name)
        folder = path.rsplit("/", 1)[0]
        if not FileSystems.exists(folder):
            try:
                FileSystems.mkdirs(folder)
            except BeamIOError:
                if not FileSystems.exists(folder):
                    raise
        draft = f"{path}.{uuid.uuid4().hex}.part"
        with FileSystems.create(draft, compression_type=CompressionTypes.UNCOMPRESSED) as stream:
            stream.write(data)
        FileSystems.rename([draft], [path])

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        """Read a file, or ``length`` bytes of it from ``start``.

        Raises:
            BeamIOError: there is no such file.
        """
        with FileSystems.open(self._path(name), compression_type=CompressionTypes.UNCOMPRESSED) as stream:
            if start:
                stream.seek(start)
            return cast("bytes", stream.read() if length is None else stream.read(length))

    def exists(self, name: str) -> bool:
        """Tell whether the file is there."""
        return cast("bool", FileSystems.exists(self._path(name)))

    def remove(self) -> None:
        """Remove the folder with all its files; an absent folder is fine."""
        if FileSystems.exists(self.root):
            FileSystems.delete([self.root])
