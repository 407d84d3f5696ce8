"""`serve`: requests per second and their 99th percentile by class of address, while ledgers are being ingested."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlencode

import inputs
import pyarrow as pa
import requests
from bench_follow import build_followed_state
from child_paths import offer_rows
from measure import Case, Series, interleave
from postgres_server import private_server
from report import Suite, Target

NAME = "serve"
SECONDS = int(os.environ.get("AURORA_BENCH_SERVE", "10"))
CONNECTIONS = 16
PACE = 1.0
_DATABASE = "bench_serve"
_REFUSED = "refused before any work"
_FIRST_OFFER = 10_000_000
"""The synthetic offers stand behind the network's own."""


def run(_entries: int, rounds: int) -> Suite:
    """Measure one service on PostgreSQL; the number of entries has no meaning here.

    Raises:
        FileNotFoundError: the package wrk is not installed.
    """
    if shutil.which("wrk") is None:
        raise FileNotFoundError("wrk is not there: install Debian's package wrk")
    with private_server() as server:
        url = server.url(_DATABASE)
        server.recreate(_DATABASE)
        build_followed_state(url)
        queries = _add_synthetic_offers(url)
        with _following(url), _serving(url) as (address, pid):
            classes = _classes(address, queries)
            cases = [_case(name, address, words, pid) for name, words in classes.items()]
            series = interleave(cases, min(rounds, 3))
        version = server.version
    return Suite(
        NAME,
        f"serve: one process, {CONNECTIONS} connections, while a ledger is committed every {PACE:g} s",
        tuple(series),
        (
            *(_line(each) for each in series),
            (
                f"PostgreSQL {version}, the service, the node that follows and wrk share the machine's "
                f"{os.cpu_count()} processors. Paths: the 200 queries of the synthetic book of 200,000 offers, "
                "up to five exchanges; three cost an eighth of the search."
            ),
        ),
        (
            Target("answers other than 200, or cut off", _failures(series), 0, at_most=True, unit="answers"),
            Target(
                "99th percentile of searches for paths", _of(series, "paths").median("p99"), 2, at_most=True, unit="s"
            ),
        ),
    )


def _of(series: Sequence[Series], name: str) -> Series:
    return next(each for each in series if each.case == name)


def _failures(series: Sequence[Series]) -> float:
    kept = [each for each in series if each.case != _REFUSED]
    return sum(run.figure("refused") + run.figure("broken") for each in kept for run in each.runs)


def _line(series: Series) -> str:
    rate = series.median("requests") / series.median("asked_for")
    p50, p99 = series.median("p50") * 1e3, series.median("p99") * 1e3
    cpu = series.median("service_cpu") / series.median("requests") * 1e3
    return f"{series.case}: {rate:,.0f} requests/s, p50 {p50:.3g} ms, p99 {p99:,.0f} ms; {cpu:.2f} ms of CPU each."


def _case(name: str, address: str, paths: Sequence[str], pid: int) -> Case:
    listed = inputs.SCRATCH / "serve" / f"{name.replace(' ', '-')}.txt"
    listed.parent.mkdir(parents=True, exist_ok=True)
    listed.write_text("".join(f"{path}\n" for path in paths))
    script = str(inputs.HERE / "requests.lua")
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "--timeout", "10s", "-s", script, address, "--"]
    return Case(name, [*command, str(listed)], SECONDS, "seconds", around=lambda: {"service_cpu": _cpu_seconds(pid)})


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _classes(address: str, queries: Sequence[str]) -> dict[str, list[str]]:
    """Return the addresses of each class; what they name is there."""

    def records(path: str) -> list[dict[str, str]]:
        found: list[dict[str, str]] = requests.get(f"{address}{path}", timeout=30).json()["_embedded"]["records"]
        return found

    ledgers = [record["sequence"] for record in records("/ledgers?limit=5")]
    hashes = [record["hash"] for record in records("/transactions?limit=20")]
    ids = [record["id"] for record in records("/offers?limit=50")]
    sellers = {record["seller"] for record in records("/offers?limit=50")}
    books = [f"/order_book?{urlencode(_sides(query))}" for query in queries[:50] if "strict-send" in query]
    return {
        "root": ["/"],
        "one ledger": [f"/ledgers/{sequence}" for sequence in ledgers],
        "one transaction": [f"/transactions/{each}" for each in hashes],
        "one account": [f"/accounts/{seller}" for seller in sellers],
        "one offer": [f"/offers/{each}" for each in ids],
        "page of ten transactions": ["/transactions?order=desc"],
        "page of ten offers": ["/offers?limit=10", "/offers?limit=10&order=desc"],
        "page of 200 offers": ["/offers?limit=200", "/offers?limit=200&order=desc"],
        "order book": books,
        "paths": list(queries),
        _REFUSED: ["/ledgers?limit=1000", "/accounts/nobody", "/paths/strict-send?source_amount=1"],
    }


def _sides(query: str) -> dict[str, str]:
    """Return the pair of a strict-send query's first and last asset, as an order book's parameters."""
    found = {name: values[0] for name, values in parse_qs(query.partition("?")[2]).items()}
    selling = {name.replace("source_", "selling_"): value for name, value in found.items() if "source_asset" in name}
    code, _, issuer = found["destination_assets"].split(",")[0].partition(":")
    if not issuer:
        return selling | {"buying_asset_type": "native"}
    kind = "credit_alphanum4" if len(code) <= 4 else "credit_alphanum12"
    return selling | {"buying_asset_type": kind, "buying_asset_code": code, "buying_asset_issuer": issuer}


def _add_synthetic_offers(url: str) -> list[str]:
    """Put 200,000 offers beside the network's own; returns the queries about them as addresses."""
    import zstandard

    from aurora_ingest.db.engine import connect, writing
    from aurora_ingest.db.load import load_batch
    from aurora_ingest.db.tables import offers

    folder = inputs.SHARED_DATA / "derived-synthetic"
    unpacked = inputs.SCRATCH / "serve" / "offers-200k.txt"
    unpacked.parent.mkdir(parents=True, exist_ok=True)
    unpacked.write_bytes(zstandard.decompress((folder / "offers-200k.txt.zst").read_bytes()))
    rows = offer_rows(unpacked)
    count = rows.num_rows
    ids = pa.array([each + _FIRST_OFFER for each in rows.column("offer_id").to_pylist()], pa.int64())
    prices = [n / d for n, d in zip(rows.column("pricen").to_pylist(), rows.column("priced").to_pylist(), strict=True)]
    columns = {
        **{name: rows.column(name) for name in ("seller_id", "selling_asset", "buying_asset", "amount")},
        "offer_id": ids,
        "pricen": rows.column("pricen").cast(pa.int32()),
        "priced": rows.column("priced").cast(pa.int32()),
        "price": pa.array(prices, pa.float64()),
        "flags": pa.array([0] * count, pa.int32()),
        "last_modified_ledger": pa.array([90] * count, pa.int32()),
        "deleted": pa.array([False] * count),
        "sponsor": pa.nulls(count, pa.string()),
    }
    names = [column.name for column in offers.columns]
    engine = connect(url)
    with writing(engine) as connection:
        load_batch(connection, "offers", pa.record_batch([columns[name] for name in names], names=names))
        connection.exec_driver_sql("ANALYZE offers")
    engine.dispose()
    queries = json.loads(zstandard.decompress((folder / "queries-200.json.zst").read_bytes()))
    return [_address(query) for query in queries]


def _address(query: dict[str, object]) -> str:
    is_receive = query["kind"] == "strict_receive"
    one, many = ("destination", "source") if is_receive else ("source", "destination")
    (asset,), others = _texts(query[f"{one}_assets"]), _texts(query[f"{many}_assets"])
    amount = int(str(query["amount"]))
    parameters = {f"{one}_amount": f"{amount // 10**7}.{amount % 10**7:07d}", f"{many}_assets": ",".join(others)}
    code, _, issuer = asset.partition(":")
    parameters[f"{one}_asset_type"] = "native"
    if issuer:
        parameters[f"{one}_asset_type"] = "credit_alphanum4" if len(code) <= 4 else "credit_alphanum12"
        parameters |= {f"{one}_asset_code": code, f"{one}_asset_issuer": issuer}
    return f"/paths/strict-{'receive' if is_receive else 'send'}?{urlencode(parameters)}"


def _texts(names: object) -> list[str]:
    assert isinstance(names, list)
    return [str(name) for name in names]


@contextmanager
def _following(url: str) -> Iterator[None]:
    """Let a node follow ledgers at a pace while the block runs."""
    stream = inputs.SCRATCH / "serve" / "paced.xdr"
    words = [str(stream), url, "100000", "--pace", str(PACE)]
    with _process([sys.executable, str(inputs.HERE / "child_follow.py"), *words]):
        yield


@contextmanager
def _serving(url: str) -> Iterator[tuple[str, int]]:
    """Serve while the block runs, from when the order book is there and some ledgers have been committed."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    words = ["-m", "aurora_ingest", "serve", "--db-url", url, "--port", str(port), "--log-level", "warning"]
    with _process([sys.executable, *words]) as pid:
        end = time.monotonic() + 120
        while not _has_history(address):
            if time.monotonic() > end:
                raise RuntimeError(f"{address} was not well within two minutes")
            time.sleep(0.5)
        yield address, pid


def _has_history(address: str) -> bool:
    try:
        if requests.get(f"{address}/health", timeout=30).status_code != 200:
            return False
        found = requests.get(f"{address}/", timeout=30).json()
    except requests.ConnectionError:
        return False
    return int(found["history_latest_ledger"]) - int(found["history_elder_ledger"]) >= 5


@contextmanager
def _process(command: Sequence[str]) -> Iterator[int]:
    process = subprocess.Popen(
        list(command), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **inputs.PYTHON_PATH}
    )
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()
