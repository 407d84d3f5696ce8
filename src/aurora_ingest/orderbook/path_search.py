"""Payment paths: what it costs to pay an amount, or what an amount buys, over several exchanges."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aurora_ingest.errors import SearchTimeoutError, UsageError
from aurora_ingest.ledger.asset import NATIVE, Asset
from aurora_ingest.orderbook.amount import units
from aurora_ingest.orderbook.graph import OrderBookGraph
from aurora_ingest.orderbook.summary import asset_json

MAX_HOPS: Final = 5
"""Most exchanges on a path: what a path payment can carry out, and what Horizon allows."""

PATHS_PER_ASSET: Final = 5
_MAX_AMOUNT: Final = 2**63 - 1


@dataclass(frozen=True)
class PaymentPath:
    """One way to pay.

    Attributes:
        source_asset: what is paid with.
        source_amount: stroops that are paid.
        destination_asset: what arrives.
        destination_amount: stroops that arrive.
        path: assets in between, from source to destination.
    """

    source_asset: Asset
    source_amount: int
    destination_asset: Asset
    destination_amount: int
    path: tuple[Asset, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the path in Horizon's JSON form: amounts as text with seven decimals."""
        return {
            **asset_json(self.source_asset, "source_"),
            "source_amount": units(self.source_amount),
            **asset_json(self.destination_asset, "destination_"),
            "destination_amount": units(self.destination_amount),
            "path": [asset_json(asset) for asset in self.path],
        }


@dataclass(frozen=True)
class SearchLimits:
    """How far a search may go.

    Attributes:
        max_hops: most exchanges on a path, 1 to 5.
        paths_per_asset: most paths per asset on the open side.
        seconds: longest time; None is no limit.
        every: look at every path without a repeated asset, as the original did, and not only at those that go over
            the best way to each asset on them; the time grows with a power of the hops.
        pools: exchange with liquidity pools, too.
    """

    max_hops: int = MAX_HOPS
    paths_per_asset: int = PATHS_PER_ASSET
    seconds: float | None = None
    every: bool = False
    pools: bool = True

    def __post_init__(self) -> None:
        """Check the limits.

        Raises:
            UsageError: one is out of its range.
        """
        if not 1 <= self.max_hops <= MAX_HOPS:
            raise UsageError(f"max path length {self.max_hops}: expected 1 to {MAX_HOPS}")
        if self.paths_per_asset < 1:
            raise UsageError(f"{self.paths_per_asset} paths per asset: expected at least 1")


def find_strict_receive(
    graph: OrderBookGraph,
    destination_asset: Asset,
    destination_amount: int,
    source_assets: Sequence[Asset] | Mapping[Asset, int],
    *,
    source_account: str | None = None,
    limits: SearchLimits = SearchLimits(),
) -> tuple[PaymentPath, ...]:
    """Find what has to be paid so that exactly an amount arrives.

    Args:
        graph: the order book; its ledger is that of the answer.
        destination_asset: what arrives.
        destination_amount: stroops that arrive, above 0.
        source_assets: what may be paid with; in a mapping, up to how many stroops.
        source_account: the payer, whose own offers are left out.
        limits: how far to go.

    Returns:
        By source asset, cheapest first, then by length.

    Raises:
        UsageError: the amount is out of range.
        SearchTimeoutError: it took longer than allowed.
    """
    balances = source_assets if isinstance(source_assets, Mapping) else dict.fromkeys(source_assets)
    ends = [(asset.key, balance) for asset, balance in balances.items()]
    found = _found(graph, destination_asset, destination_amount, ends, source_account, limits, receive=True)
    paths = (PaymentPath(way[-1], amount, destination_asset, destination_amount, way[-2:0:-1]) for amount, way in found)
    ordered = sorted(paths, key=lambda path: (_name(path.source_asset), path.source_amount, *_shape(path)))
    return _first_of_each(((path.source_asset, path) for path in ordered), limits.paths_per_asset)


def find_strict_send(
    graph: OrderBookGraph,
    source_asset: Asset,
    source_amount: int,
    destination_assets: Sequence[Asset],
    *,
    source_account: str | None = None,
    limits: SearchLimits = SearchLimits(),
) -> tuple[PaymentPath, ...]:
    """Find what arrives when exactly an amount is paid.

    Args:
        graph: the order book; its ledger is that of the answer.
        source_asset: what is paid with.
        source_amount: stroops that are paid, above 0.
        destination_assets: what may arrive.
        source_account: the payer, whose own offers are left out.
        limits: how far to go.

    Returns:
        By destination asset, most first, then by length.

    Raises:
        UsageError: the amount is out of range.
        SearchTimeoutError: it took longer than allowed.
    """
    ends: list[tuple[str, int | None]] = [(asset.key, None) for asset in dict.fromkeys(destination_assets)]
    found = _found(graph, source_asset, source_amount, ends, source_account, limits, receive=False)
    paths = (PaymentPath(source_asset, source_amount, way[-1], amount, way[1:-1]) for amount, way in found)
    ordered = sorted(paths, key=lambda path: (_name(path.destination_asset), -path.destination_amount, *_shape(path)))
    return _first_of_each(((path.destination_asset, path) for path in ordered), limits.paths_per_asset)


def _found(
    graph: OrderBookGraph,
    start: Asset,
    amount: int,
    ends: list[tuple[str, int | None]],
    account: str | None,
    limits: SearchLimits,
    *,
    receive: bool,
) -> list[tuple[int, tuple[Asset, ...]]]:
    if not 0 < amount <= _MAX_AMOUNT:
        raise UsageError(f"amount of {amount} stroops: expected 1 to {_MAX_AMOUNT}")
    try:
        found = graph.kernel.paths(
            start.key,
            amount,
            ends,
            receive=receive,
            max_hops=limits.max_hops,
            own_account=account,
            every=limits.every,
            pools=limits.pools,
            seconds=limits.seconds,
        )
    except TimeoutError as error:
        raise SearchTimeoutError(f"no answer within {limits.seconds} s; allow more time or fewer hops") from error
    assets = {key: Asset.of_key(key) for _, way in found for key in way}
    return [(amount, tuple(assets[key] for key in way)) for amount, way in found]


def _first_of_each(paths: Iterable[tuple[Asset, PaymentPath]], limit: int) -> tuple[PaymentPath, ...]:
    kept: list[PaymentPath] = []
    counts: dict[Asset, int] = {}
    for asset, path in paths:
        counts[asset] = counts.get(asset, 0) + 1
        if counts[asset] <= limit:
            kept.append(path)
    return tuple(kept)


def _shape(path: PaymentPath) -> tuple[int, list[str]]:
    return len(path.path), [_name(asset) for asset in path.path]


def _name(asset: Asset) -> str:
    """The name by which Horizon sorts: ``type/code/issuer``."""
    return NATIVE if asset.kind == NATIVE else f"{asset.kind}/{asset.code}/{asset.issuer}"
