"""The wheel of this very package, packed from the files that run, for workers in other processes."""

from __future__ import annotations

import base64
import hashlib
import os
import sysconfig
import uuid
import zipfile
from collections.abc import Iterator
from pathlib import Path

import aurora_ingest
from aurora_ingest.errors import RunnerError

_TAG = "cp310-abi3"
_EPOCH = (2020, 1, 1, 0, 0, 0)
_LEFT_OUT = ("__pycache__",)


def packed_wheel(folder: Path) -> Path:
    """Returns a wheel of the running package, below `folder`; it is packed once for the same files.

    A source tree, an editable installation and an ordinary one all have the same files in the package's folder, the
    kernel among them; so what runs here is what workers get, and no compiler is needed.

    Raises:
        RunnerError: the kernel is not there.
    """
    root = Path(aurora_ingest.__file__).parent
    files = {f"aurora_ingest/{path}": (root / path).read_bytes() for path in sorted(_files(root))}
    if not any(name.endswith((".so", ".pyd")) for name in files):
        raise RunnerError(f"{root} has no kernel, so that workers would get none; run `make kernel`")
    version = aurora_ingest.__version__
    info = f"aurora_ingest-{version}.dist-info"
    tag = f"{_TAG}-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: aurora-ingest\nVersion: {version}\n".encode()
    files[f"{info}/WHEEL"] = (
        f"Wheel-Version: 1.0\nGenerator: aurora-ingest\nRoot-Is-Purelib: false\nTag: {tag}\n".encode()
    )
    files[f"{info}/RECORD"] = _record(files, f"{info}/RECORD")
    digest = hashlib.sha256(files[f"{info}/RECORD"]).hexdigest()[:16]
    wheel = folder / digest / f"aurora_ingest-{version}-{tag}.whl"
    if not wheel.is_file():
        wheel.parent.mkdir(parents=True, exist_ok=True)
        draft = wheel.with_suffix(f".{uuid.uuid4().hex}")
        _write(draft, files)
        draft.replace(wheel)
    return wheel


def _files(root: Path) -> Iterator[Path]:
    """Yields the paths of the package's files; three rooms of a source tree are symbolic links."""
    for folder, folders, names in os.walk(root, followlinks=True):
        folders[:] = [name for name in folders if name not in _LEFT_OUT]
        for name in names:
            yield (Path(folder) / name).relative_to(root)


def _record(files: dict[str, bytes], itself: str) -> bytes:
    lines = []
    for name, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        lines.append(f"{name},sha256={digest},{len(data)}\n")
    return "".join([*lines, f"{itself},,\n"]).encode()


def _write(path: Path, files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data)
