"""Made-up accounts, trust lines, offers, data, claimable balances and liquidity pools in the shapes seen on pubnet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from entry_shapes import Batch, Bytes2D, Shape, be32, be64, random_bytes

ACCOUNT, TRUST_LINE, OFFER, DATA, CLAIMABLE_BALANCE, LIQUIDITY_POOL = range(6)
ASSETS = 3000
LAPS = (0, 1, 7, 29, 83, 211, 547, 1103, 1709, 2203)
"""Distance in the asset list between an owner's first, second, … trust line: no two of them are of the same asset."""
_LETTERS = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", np.uint8)


@dataclass(frozen=True)
class World:
    """What entries refer to.

    Attributes:
        rng: source of everything random.
        checkpoint: no entry was modified after it.
        network_id: SHA-256 of the passphrase.
        owners: keys of accounts that are alive, in random order.
        codes4: asset codes of four letters, one row each.
        codes12: asset codes of seven letters, padded to twelve.
        issuers: issuer of each asset.
    """

    rng: np.random.Generator
    checkpoint: int
    network_id: bytes
    owners: Bytes2D
    codes4: Bytes2D
    codes12: Bytes2D
    issuers: Bytes2D

    @staticmethod
    def create(seed: int, checkpoint: int, network_id: bytes, accounts: int) -> World:
        """Draw owners and assets."""
        rng = np.random.default_rng(seed)
        codes12 = np.zeros((ASSETS, 12), np.uint8)
        codes12[:, :7] = rng.choice(_LETTERS, (ASSETS, 7))
        return World(
            rng=rng,
            checkpoint=checkpoint,
            network_id=network_id,
            owners=random_bytes(rng, accounts, 32),
            codes4=rng.choice(_LETTERS, (ASSETS, 4)),
            codes12=codes12,
            issuers=random_bytes(rng, ASSETS, 32),
        )

    def modified(self, count: int) -> Bytes2D:
        """Last modified ledgers: the last two million, or since genesis where there were fewer."""
        age = min(2_000_000, self.checkpoint - 1)
        return be32(self.checkpoint - self.rng.integers(0, age, count))

    def popular(self, count: int) -> npt.NDArray[np.int64]:
        """Indexes into the asset list, few of them often."""
        return (ASSETS * self.rng.random(count) ** 6).astype(np.int64)

    def sponsors(self, count: int) -> Bytes2D:
        """Keys of a few accounts that sponsor much."""
        few = max(1, len(self.owners) // 200)
        return self.owners[(few * self.rng.random(count) ** 8).astype(np.int64)]

    def amounts(self, count: int, *, zeros: float = 0.0) -> Bytes2D:
        """Amounts in stroops, log-uniform up to about 10^11 units; half of them round, a share of them zero."""
        amounts = np.exp(self.rng.random(count) * 41).astype(np.int64)
        round_ones = self.rng.random(count) < 0.5
        amounts[round_ones] = (1 + amounts[round_ones] % 50) * 10_000_000
        amounts[self.rng.random(count) < zeros] = 0
        return be64(amounts)

    def asset(self, prefix: str, kind: int, indexes: npt.NDArray[np.int64]) -> dict[str, Bytes2D]:
        """Fill an asset's holes."""
        if not kind:
            return {}
        codes = self.codes4 if kind == 1 else self.codes12
        return {f"{prefix}_code": codes[indexes], f"{prefix}_issuer": self.issuers[indexes]}


def split_count(count: int, shares: list[float]) -> list[int]:
    """Split a number by shares; every share gets at least one while there are enough."""
    wanted = np.asarray(shares) / sum(shares) * count
    parts = [max(1, int(each)) for each in wanted]
    largest = int(np.argmax(wanted))
    parts[largest] += count - sum(parts)
    if parts[largest] < 0:
        return [count, *([0] * (len(shares) - 1))]
    return parts


def _account_shapes() -> list[Shape]:
    def begin(share: float, domain: bytes = b"", *, inflation: bool = False) -> Shape:
        shape = Shape(ACCOUNT, share).begin_key().account("owner", order=32).end_key()
        shape.hole("amount", 8).hole("sequence", 8).hole("subentries", 4)
        shape = shape.i32(1).account("sponsor") if inflation else shape.i32(0)
        return shape.i32(0).text(domain).hole("thresholds", 4)

    def v3(shape: Shape, signers: int, *, sponsored: bool) -> Shape:
        shape.i32(1).hole("buying", 8).hole("selling", 8).i32(2, 0, 2, signers)
        for _ in range(signers):
            shape = shape.i32(1).account("sponsor") if sponsored else shape.i32(0)
        return shape.i32(3, 0).hole("sequence_ledger", 4).hole("sequence_time", 8)

    plain = begin(30).i32(0, 0).end_of_entry()
    seen = v3(begin(38).i32(0), 0, sponsored=False).end_of_entry()
    sponsored = v3(begin(12).i32(1, 0).hole("signer", 32).i32(1), 1, sponsored=True).end_of_entry(sponsored=True)
    domain = begin(10, b"lobstr.co", inflation=True).i32(1, 0).hole("signer", 32).i32(1)
    domain.i32(1).hole("buying", 8).hole("selling", 8).i32(0).end_of_entry()
    two = begin(6, b"keys.example.org").i32(2, 0).hole("signer", 32).i32(1, 2).hole("signer2", 32).i32(5)
    v3(two, 2, sponsored=False).end_of_entry()
    payload = begin(4).i32(2, 1).hole("signer", 32).i32(1, 3).hole("signer2", 32).text(b"payload of 20 bytes.").i32(9)
    v3(payload, 2, sponsored=False).end_of_entry()
    return [plain, seen, sponsored, domain, two, payload]


def accounts(world: World, doomed: int) -> list[Batch]:
    """Make the world's owners, and ``doomed`` accounts more."""
    owners = np.concatenate([world.owners, random_bytes(world.rng, doomed, 32)])
    shapes = _account_shapes()
    batches, at = [], 0
    for shape, count in zip(shapes, split_count(len(owners), [each.share for each in shapes]), strict=True):
        rng = world.rng
        thresholds = np.zeros((count, 4), np.uint8)
        thresholds[:, 0] = rng.random(count) < 0.97
        values = {
            "modified": world.modified(count),
            "owner": owners[at : at + count],
            "amount": world.amounts(count),
            "sequence": be64((rng.integers(1, world.checkpoint, count) << 32) + rng.integers(0, 5000, count)),
            "subentries": be32(rng.integers(0, 12, count)),
            "thresholds": thresholds,
            "buying": world.amounts(count, zeros=0.9),
            "selling": world.amounts(count, zeros=0.9),
            "sequence_ledger": world.modified(count),
            "sequence_time": be64(1_700_000_000 + rng.integers(0, 1 << 26, count)),
            "sponsor": world.sponsors(count),
            "signer": random_bytes(rng, count, 32),
            "signer2": random_bytes(rng, count, 32),
        }
        batches.append(Batch(shape, shape.fill(values, count)))
        at += count
    return batches


def _trust_line_shapes() -> list[tuple[Shape, int]]:
    def begin(share: float, kind: int) -> Shape:
        shape = Shape(TRUST_LINE, share).begin_key().account("owner", order=32)
        if kind == 3:
            shape.i32(3, order=4).hole("pool", 32, order=48)
        else:
            shape.i32(kind, order=4).hole("asset_code", 4 if kind == 1 else 12, order=12)
            shape.i32(0, order=4).hole("asset_issuer", 32, order=32)
        return shape.end_key().hole("amount", 8).hole("limit", 8)

    def liabilities(shape: Shape) -> Shape:
        return shape.i32(1).hole("buying", 8).hole("selling", 8)

    return [
        (begin(38, 1).i32(1, 0).end_of_entry(), 1),
        (begin(26, 2).i32(1, 0).end_of_entry(), 2),
        (liabilities(begin(14, 1).i32(1)).i32(0).end_of_entry(), 1),
        (begin(12, 1).i32(1, 0).end_of_entry(sponsored=True), 1),
        (liabilities(begin(7, 2).i32(5)).i32(2, 1, 0).end_of_entry(), 2),
        (begin(3, 3).i32(1, 0).end_of_entry(), 3),
    ]


def trust_lines(world: World, count: int) -> list[Batch]:
    """Make trust lines of the world's owners, each owner several, no owner the same asset twice."""
    shapes = _trust_line_shapes()
    if count > len(world.owners) * len(LAPS):
        raise ValueError(f"{count} trust lines are too many for {len(world.owners)} accounts of {len(LAPS)} each")
    owner = np.arange(count) % len(world.owners)
    first_asset = world.popular(len(world.owners))
    asset = (first_asset[owner] + np.asarray(LAPS)[np.arange(count) // len(world.owners)]) % ASSETS
    place = world.rng.permutation(count)
    batches, at = [], 0
    for (shape, kind), some in zip(shapes, split_count(count, [each.share for each, _ in shapes]), strict=True):
        mine = place[at : at + some]
        values = {
            "modified": world.modified(some),
            "owner": world.owners[owner[mine]],
            "amount": world.amounts(some, zeros=0.5),
            "limit": be64(np.full(some, (1 << 63) - 1)),
            "buying": world.amounts(some, zeros=0.7),
            "selling": world.amounts(some, zeros=0.7),
            "pool": random_bytes(world.rng, some, 32),
            "sponsor": world.sponsors(some),
            **world.asset("asset", min(kind, 2), asset[mine]),
        }
        batches.append(Batch(shape, shape.fill(values, some)))
        at += some
    return batches


def offers(world: World, count: int) -> list[Batch]:
    """Make offers with ids of their own."""
    kinds = [(0, 1, 30, False), (1, 0, 30, False), (1, 2, 20, False), (1, 1, 15, False), (2, 0, 5, True)]
    batches, at = [], 0
    for (selling, buying, _, sponsored), some in zip(kinds, split_count(count, [k[2] for k in kinds]), strict=True):
        shape = Shape(OFFER).begin_key().account("owner", order=32).hole("id", 8, order=8).end_key()
        shape.asset("selling", selling).asset("buying", buying).hole("amount", 8).hole("price_n", 4).hole("price_d", 4)
        shape.i32(0, 0).end_of_entry(sponsored=sponsored)
        rng = world.rng
        values = {
            "modified": world.modified(some),
            "owner": world.owners[rng.integers(0, max(1, len(world.owners) // 20), some)],
            "id": be64(1_000_000_000 + 3 * np.arange(at, at + some)),
            "amount": world.amounts(some),
            "price_n": be32(rng.integers(1, 1 << 30, some)),
            "price_d": be32(rng.integers(1, 1 << 30, some)),
            "sponsor": world.sponsors(some),
            **world.asset("selling", selling, world.popular(some)),
            **world.asset("buying", buying, world.popular(some)),
        }
        batches.append(Batch(shape, shape.fill(values, some)))
        at += some
    return batches


def data(world: World, count: int) -> list[Batch]:
    """Make data entries with names of different lengths, so that content and not length decides their order."""
    kinds = [(b"config.memo_required", 1, 40), (b"name", 12, 25), (b"zz", 64, 20), (b"tag:", 32, 15)]
    batches, at = [], 0
    for (name, width, _), some in zip(kinds, split_count(count, [k[2] for k in kinds]), strict=True):
        shape = Shape(DATA).begin_key().account("owner", order=32).i32(len(name) + 8)
        shape.hole("name", len(name) + 8, order=64).end_key().i32(width).hole("value", width).i32(0)
        shape.end_of_entry(sponsored=width == 32)
        names = np.empty((some, len(name) + 8), np.uint8)
        names[:, : len(name)] = np.frombuffer(name, np.uint8)
        names[:, len(name) :] = world.rng.choice(_LETTERS, (some, 8))
        # Half of them belong to few owners, with many entries each: their names decide the order.
        few = world.rng.integers(0, 1 + len(world.owners) // 50, some)
        owner = np.where(world.rng.random(some) < 0.5, few, world.rng.integers(0, len(world.owners), some))
        values = {
            "modified": world.modified(some),
            "owner": world.owners[owner],
            "name": names,
            "value": random_bytes(world.rng, some, width),
            "sponsor": world.sponsors(some),
        }
        batches.append(Batch(shape, shape.fill(values, some)))
        at += some
    return batches


def claimable_balances(world: World, count: int) -> list[Batch]:
    """Make claimable balances with one or two claimants and predicates of every kind."""
    predicates: list[tuple[int, int, list[tuple[int, ...]], bool]] = [
        (40, 1, [(0,)], False),
        (30, 1, [(3, 1, 4, 0, 1_760_000_000), (0,)], False),
        (15, 2, [(1, 2, 4, 0, 1_800_000_000, 3, 1, 5, 0, 86_400), (0,)], True),
        (15, 0, [(2, 2, 5, 0, 3600, 4, 0, 1_900_000_000)], False),
    ]
    batches = []
    for (_, kind, claimants, clawback), some in zip(
        predicates, split_count(count, [each[0] for each in predicates]), strict=True
    ):
        shape = Shape(CLAIMABLE_BALANCE).begin_key().i32(0).hole("id", 32, order=32).end_key().i32(len(claimants))
        for number, predicate in enumerate(claimants):
            shape.i32(0).account(f"claimant{number}").i32(*predicate)
        shape.asset("asset", kind).hole("amount", 8)
        shape = shape.i32(1, 0, 1) if clawback else shape.i32(0)
        shape.end_of_entry(sponsored=True)
        values = {
            "modified": world.modified(some),
            "id": random_bytes(world.rng, some, 32),
            "claimant0": world.owners[world.rng.integers(len(world.owners) // 2, len(world.owners), some)],
            "claimant1": world.sponsors(some),
            "amount": world.amounts(some),
            "sponsor": world.sponsors(some),
            **world.asset("asset", kind, world.popular(some)),
        }
        batches.append(Batch(shape, shape.fill(values, some)))
    return batches


def liquidity_pools(world: World, count: int) -> list[Batch]:
    """Make pools of native and of issued assets."""
    batches = []
    for (a, b), some in zip([(0, 1), (1, 2)], split_count(count, [1, 1]), strict=True):
        shape = Shape(LIQUIDITY_POOL).begin_key().hole("id", 32, order=32).end_key().i32(0)
        shape.asset("a", a).asset("b", b).i32(30).hole("amount", 8).hole("reserve", 8).hole("shares", 8)
        shape.hole("trust_lines", 8).end_of_entry()
        values = {
            "modified": world.modified(some),
            "id": random_bytes(world.rng, some, 32),
            "amount": world.amounts(some),
            "reserve": world.amounts(some),
            "shares": world.amounts(some),
            "trust_lines": be64(world.rng.integers(1, 300, some)),
            **world.asset("a", a, world.popular(some)),
            **world.asset("b", b, world.popular(some)),
        }
        batches.append(Batch(shape, shape.fill(values, some)))
    return batches
