"""Child of bench_paths: fills our order book graph and answers path queries; prints what it took as JSON."""

from __future__ import annotations

import base64
import json
import struct
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from aurora_ingest import _kernel
from aurora_ingest.ledger.asset import Asset
from aurora_ingest.orderbook.graph import OrderBookGraph
from aurora_ingest.orderbook.path_search import PaymentPath, SearchLimits, find_strict_receive, find_strict_send

_ASSET_BYTES = {0: 4, 1: 44, 2: 52}


def offer_rows(path: Path) -> pa.RecordBatch:
    """Read OfferEntry XDR, base64, one a line, as rows of table ``offers``."""
    rows = []
    for line in path.read_bytes().split():
        entry = base64.b64decode(line)
        (offer_id,) = struct.unpack_from(">q", entry, 36)
        selling, place = _asset(entry, 44)
        buying, place = _asset(entry, place)
        rows.append((offer_id, _kernel.strkey_encode("G", entry[4:36]), selling, buying))
        rows[-1] += struct.unpack_from(">qii", entry, place)
    return _batch(rows, ("offer_id", "seller_id", "selling_asset", "buying_asset", "amount", "pricen", "priced"))


def pool_rows(path: Path) -> pa.RecordBatch:
    """Read LiquidityPoolEntry XDR, base64, one a line, as rows of table ``liquidity_pools``."""
    rows = []
    for line in path.read_bytes().split():
        entry = base64.b64decode(line)
        first, place = _asset(entry, 36)
        second, place = _asset(entry, place)
        fee, *reserves = struct.unpack_from(">iqq", entry, place)
        sides = [
            {"asset": asset, "reserve": str(reserve)} for asset, reserve in zip((first, second), reserves, strict=True)
        ]
        rows.append((entry[:32].hex(), fee, json.dumps(sides)))
    return _batch(rows, ("id", "fee", "asset_reserves"))


def main(offers: str, pools: str, queries: str, repeats: str) -> None:
    """Load and answer; the time of a query is the best of its repeats."""
    rows = offer_rows(Path(offers)), None if pools == "-" else pool_rows(Path(pools))
    start = time.perf_counter()
    graph = OrderBookGraph(1, *rows)
    loaded = time.perf_counter() - start
    asked = [_question(query) for query in json.loads(Path(queries).read_bytes())]
    start, start_cpu = time.perf_counter(), time.process_time()
    times, paths = [], 0
    for is_receive, one, many, amount, limits in asked:
        find = find_strict_receive if is_receive else find_strict_send
        took = []
        for _ in range(int(repeats)):
            began = time.perf_counter()
            found: tuple[PaymentPath, ...] = find(graph, one, amount, many, limits=limits)
            took.append(time.perf_counter() - began)
        paths += len(found)
        times.append(min(took))
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - start_cpu
    times.sort()
    said = {
        "load_seconds": loaded,
        "p50_seconds": times[len(times) // 2],
        "p99_seconds": times[len(times) * 99 // 100],
        "paths": paths,
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
    }
    print(json.dumps(said))


def _question(query: dict[str, object]) -> tuple[bool, Asset, list[Asset], int, SearchLimits]:
    is_receive = query["kind"] == "strict_receive"
    sides = [_assets(query["destination_assets"]), _assets(query["source_assets"])]
    (one,), many = sides if is_receive else sides[::-1]
    limits = SearchLimits(int(str(query["max_path_length"])), int(str(query["max_paths_per_asset"])))
    return is_receive, one, many, int(str(query["amount"])), limits


def _assets(names: object) -> list[Asset]:
    assert isinstance(names, list)
    return [Asset.parse(name) for name in names]


def _asset(entry: bytes, start: int) -> tuple[str, int]:
    end = start + _ASSET_BYTES[int.from_bytes(entry[start : start + 4], "big")]
    return base64.b64encode(entry[start:end]).decode(), end


def _batch(rows: Sequence[tuple[object, ...]], names: tuple[str, ...]) -> pa.RecordBatch:
    return pa.record_batch([pa.array(values) for values in zip(*rows, strict=True)], names=list(names))


if __name__ == "__main__":
    main(*sys.argv[1:])
