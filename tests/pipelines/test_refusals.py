"""Damaged archives: each damage is refused with its own message, and what was visible stays."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from aurora_ingest import cli

_ARCHIVE = Path(__file__).parents[1] / "data" / "standalone-accel"
_STATE = "history/00/00/00/history-0000005f.json"
_LEDGERS = "ledger/00/00/00/ledger-0000005f.xdr.gz"


def _buckets(archive: Path) -> list[Path]:
    """The buckets of the state at 95 that are not empty, newest first."""
    state = json.loads((archive / _STATE).read_text(encoding="utf-8"))
    names = [level[part] for level in state["currentBuckets"] for part in ("curr", "snap")]
    return [
        archive / f"bucket/{name[:2]}/{name[2:4]}/{name[4:6]}/bucket-{name}.xdr.gz" for name in names if name.strip("0")
    ]


def _flip(archive: Path) -> str:
    path = _buckets(archive)[1]
    plain = bytearray(gzip.decompress(path.read_bytes()))
    plain[len(plain) // 2] ^= 1
    path.write_bytes(gzip.compress(bytes(plain)))
    return path.name[7:71]


def _flip_compressed(archive: Path) -> str:
    path = _buckets(archive)[1]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    return path.name[7:71]


def _cut(archive: Path) -> str:
    path = _buckets(archive)[2]
    path.write_bytes(path.read_bytes()[:-20])
    return path.name[7:71]


def _swap(archive: Path) -> str:
    first, second = _buckets(archive)[:2]
    bytes_of_first = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(bytes_of_first)
    return "SHA-256"


def _remove(archive: Path) -> str:
    path = _buckets(archive)[0]
    path.unlink()
    return path.name


def _page(archive: Path) -> str:
    path = _buckets(archive)[0]
    path.write_text("<!DOCTYPE html><html><body>Not here</body></html>", encoding="utf-8")
    return path.name


def _empty(archive: Path) -> str:
    path = _buckets(archive)[0]
    path.write_bytes(b"")
    return path.name


def _other_list(archive: Path) -> str:
    path = archive / _STATE
    state = json.loads(path.read_text(encoding="utf-8"))
    level = state["currentBuckets"][0]
    level["curr"], level["snap"] = level["snap"], level["curr"]
    path.write_text(json.dumps(state), encoding="utf-8")
    return "its buckets hash to"


def _other_header(archive: Path) -> str:
    path = archive / _LEDGERS
    plain = bytearray(gzip.decompress(path.read_bytes()))
    plain[-40] ^= 1
    path.write_bytes(gzip.compress(bytes(plain)))
    return "ledger-0000005f"


def _broken_state(archive: Path) -> str:
    (archive / _STATE).write_text("{", encoding="utf-8")
    return "history-0000005f.json"


_DAMAGES: dict[str, Callable[[Path], str]] = {
    damage.__name__.strip("_"): damage
    for damage in (
        _flip,
        _flip_compressed,
        _cut,
        _swap,
        _remove,
        _page,
        _empty,
        _other_list,
        _other_header,
        _broken_state,
    )
}


def _build(url: str, *archives: Path, checkpoint: int = 95) -> int:
    mirrors = [word for archive in archives for word in ("--history-archive-url", str(archive))]
    words = ["build-state", "--network", "standalone", "--checkpoint-frequency", "8", *mirrors, "--db-url", url]
    return cli.run(
        [
            *words,
            "--checkpoint",
            str(checkpoint),
            "--log-level",
            "error",
            "--log-format",
            "json",
            "--work-dir",
            f"{url[10:]}-work",
        ]
    )


def _ledger(url: str, capsys: pytest.CaptureFixture[str]) -> object:
    capsys.readouterr()
    assert cli.run(["status", "--db-url", url, "--json"]) == 0
    return json.loads(capsys.readouterr().out)["last_ledger"]


@pytest.fixture
def url(tmp_path: Path) -> str:
    address = f"sqlite:///{tmp_path}/state.db"
    assert cli.run(["db", "migrate", "--db-url", address]) == 0
    assert _build(address, _ARCHIVE, checkpoint=47) == 0
    return address


def test_each_damage_has_its_own_message_and_publishes_nothing(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    messages = {}
    for name, damage in _DAMAGES.items():
        archive = tmp_path / name
        shutil.copytree(_ARCHIVE, archive)
        named = damage(archive)
        capsys.readouterr()
        assert _build(url, archive) == 1, name
        output = capsys.readouterr()
        assert output.out == "", name
        (message,) = (line for line in output.err.splitlines() if not line.startswith("{"))
        assert message.startswith("aurora-ingest: ")
        assert named in message
        messages[name] = message.replace(str(archive), "")
        assert _ledger(url, capsys) == 47, name
        _abandon(url)
    assert len(set(messages.values())) == len(_DAMAGES)


def _abandon(url: str) -> None:
    from aurora_ingest.db import builds
    from aurora_ingest.db.engine import connect

    engine = connect(url)
    builds.abandon_build(engine)
    engine.dispose()


@pytest.mark.parametrize("name", sorted(set(_DAMAGES) - {"other_list"}))
def test_a_good_mirror_makes_up_for_a_bad_one(
    name: str, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = tmp_path / name
    shutil.copytree(_ARCHIVE, archive)
    _DAMAGES[name](archive)
    assert _build(url, archive, _ARCHIVE) == 0, capsys.readouterr().err
    assert _ledger(url, capsys) == 95


def test_all_bad_mirrors_are_named(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("remove", "cut"):
        shutil.copytree(_ARCHIVE, tmp_path / name)
        _remove(tmp_path / name)
    assert _build(url, tmp_path / "remove", tmp_path / "cut") == 1
    message = capsys.readouterr().err
    assert str(tmp_path / "remove") in message
    assert str(tmp_path / "cut") in message
