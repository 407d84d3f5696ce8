"""Made-up contract data, contract code, settings and the TTL of each, in the shapes seen on pubnet."""

from __future__ import annotations

import hashlib
import struct

import numpy as np
import numpy.typing as npt
from classic_entries import World, split_count
from entry_shapes import Batch, Bytes2D, Shape, be32, be64, random_bytes

CONTRACT_DATA, CONTRACT_CODE, CONFIG_SETTING, TTL = range(6, 10)
TEMPORARY, PERSISTENT = 0, 1
SCV_BOOL, SCV_VOID, SCV_U32, SCV_U64, SCV_I128, SCV_BYTES, SCV_STRING = 0, 1, 3, 5, 10, 13, 14
SCV_SYMBOL, SCV_VEC, SCV_MAP, SCV_ADDRESS, SCV_INSTANCE, SCV_KEY_INSTANCE, SCV_KEY_NONCE = 15, 16, 17, 18, 19, 20, 21
ADDRESS_ACCOUNT, ADDRESS_CONTRACT = 0, 1


def symbol(text: bytes) -> bytes:
    """XDR of an ScVal symbol."""
    return struct.pack(">iI", SCV_SYMBOL, len(text)) + text + bytes(-len(text) % 4)


def _begin(share: float, owner: int) -> Shape:
    """Begin a contract data entry up to the address that owns it."""
    shape = Shape(CONTRACT_DATA, share).i32(0).begin_key().i32(owner, order=4)
    if owner == ADDRESS_ACCOUNT:
        shape.i32(0)
    return shape.hole("contract", 32, order=32)


def _vec_key(shape: Shape, name: bytes, address: int) -> Shape:
    """Append a key ``[Symbol name, Address]``; all vectors of this file have that form, so one layout orders them."""
    shape.i32(SCV_VEC, order=4).i32(1, 2, SCV_SYMBOL, len(name)).raw(name, order=32)
    shape.i32(SCV_ADDRESS).i32(address, order=4)
    if address == ADDRESS_ACCOUNT:
        shape.i32(0)
    return shape.hole("holder", 32, order=32)


def _pad_order(shape: Shape, used: int) -> Shape:
    """Fill up the sort key of the ScVal to the width that vectors need."""
    at = len(shape.body)
    shape.sort_parts.append((at, at, 72 - used))
    return shape


def _balance(share: float) -> Shape:
    """``[Balance, contract address]`` → {amount, authorized, clawback} of an asset contract."""
    shape = _vec_key(_begin(share, ADDRESS_CONTRACT), b"Balance", ADDRESS_CONTRACT)
    shape.i32(PERSISTENT, order=4).end_key().i32(SCV_MAP, 1, 3)
    shape.raw(symbol(b"amount")).i32(SCV_I128, 0, 0).hole("amount", 8)
    shape.raw(symbol(b"authorized")).i32(SCV_BOOL, 1).raw(symbol(b"clawback")).i32(SCV_BOOL, 0)
    return shape.end_of_entry()


def _position(share: float) -> Shape:
    """``[Position, account]`` → a map as a lending contract keeps it."""
    shape = _vec_key(_begin(share, ADDRESS_CONTRACT), b"Positions", ADDRESS_ACCOUNT)
    shape.i32(PERSISTENT, order=4).end_key().i32(SCV_MAP, 1, 3)
    shape.raw(symbol(b"collateral")).i32(SCV_MAP, 1, 1, SCV_U32, 0, SCV_I128, 0, 0).hole("amount", 8)
    shape.raw(symbol(b"liabilities")).i32(SCV_MAP, 1, 0)
    shape.raw(symbol(b"supply")).i32(SCV_MAP, 1, 1, SCV_U32, 2, SCV_I128, 0, 0).hole("supply", 8)
    return shape.end_of_entry()


def _allowance(share: float) -> Shape:
    """A temporary ``[Allowance, account]``."""
    shape = _vec_key(_begin(share, ADDRESS_CONTRACT), b"Allowance", ADDRESS_ACCOUNT)
    shape.i32(TEMPORARY, order=4).end_key().i32(SCV_MAP, 1, 2)
    shape.raw(symbol(b"amount")).i32(SCV_I128, 0, 0).hole("amount", 8)
    shape.raw(symbol(b"live_until_ledger")).i32(SCV_U32).hole("until", 4)
    return shape.end_of_entry()


def _price(share: float) -> Shape:
    """A temporary price of an oracle under a number."""
    shape = _begin(share, ADDRESS_CONTRACT).i32(SCV_U64, order=4).hole("number", 8, order=8)
    _pad_order(shape, 8).i32(TEMPORARY, order=4).end_key().i32(SCV_I128, 0, 0).hole("amount", 8)
    return shape.end_of_entry()


def _counter(share: float, name: bytes) -> Shape:
    """A contract's own value under a symbol."""
    shape = _begin(share, ADDRESS_CONTRACT).i32(SCV_SYMBOL, order=4).i32(len(name)).raw(name, order=32)
    _pad_order(shape, 32).i32(PERSISTENT, order=4).end_key().i32(SCV_BYTES, 32).hole("bytes", 32)
    return shape.end_of_entry()


def _nonce(share: float) -> Shape:
    """A used nonce of an account."""
    shape = _begin(share, ADDRESS_ACCOUNT).i32(SCV_KEY_NONCE, order=4).hole("number", 8, order=8)
    _pad_order(shape, 8).i32(TEMPORARY, order=4).end_key().i32(SCV_VOID)
    return shape.end_of_entry()


def _instance(share: float) -> Shape:
    """An instance of a Wasm contract with two settings."""
    shape = _begin(share, ADDRESS_CONTRACT).i32(SCV_KEY_INSTANCE, order=4)
    _pad_order(shape, 0).i32(PERSISTENT, order=4).end_key().i32(SCV_INSTANCE, 0).hole("wasm", 32).i32(1, 2)
    shape.raw(symbol(b"Admin")).i32(SCV_ADDRESS, ADDRESS_ACCOUNT, 0).hole("holder", 32)
    return shape.raw(symbol(b"Supply")).i32(SCV_I128, 0, 0).hole("amount", 8).end_of_entry()


def _asset_instance(share: float) -> Shape:
    """The instance of an asset contract, with the metadata that core gives it."""
    shape = _begin(share, ADDRESS_CONTRACT).i32(SCV_KEY_INSTANCE, order=4)
    _pad_order(shape, 0).i32(PERSISTENT, order=4).end_key().i32(SCV_INSTANCE, 1, 1, 3)
    shape.raw(symbol(b"METADATA")).i32(SCV_MAP, 1, 3).raw(symbol(b"decimal")).i32(SCV_U32, 7)
    shape.raw(symbol(b"name")).i32(SCV_STRING, 4).hole("code", 4)
    shape.raw(symbol(b"symbol")).i32(SCV_STRING, 4).hole("code_again", 4)
    shape.i32(SCV_VEC, 1, 1).raw(symbol(b"Admin")).i32(SCV_ADDRESS, ADDRESS_ACCOUNT, 0).hole("issuer", 32)
    shape.i32(SCV_VEC, 1, 1).raw(symbol(b"AssetInfo")).i32(SCV_VEC, 1, 2).raw(symbol(b"AlphaNum4")).i32(SCV_MAP, 1, 2)
    shape.raw(symbol(b"asset_code")).i32(SCV_STRING, 4).hole("code_in_map", 4)
    shape.raw(symbol(b"issuer")).i32(SCV_BYTES, 32).hole("issuer_in_map", 32)
    return shape.end_of_entry()


def asset_contract_ids(world: World, indexes: npt.NDArray[np.int64]) -> Bytes2D:
    """Contract ids of assets of four letters: SHA-256 of HashIDPreimage (8 = contract id, 1 = from an asset)."""
    ids = b"".join(
        hashlib.sha256(
            struct.pack(">i32sii", 8, world.network_id, 1, 1)
            + world.codes4[index].tobytes()
            + bytes(4)
            + world.issuers[index].tobytes()
        ).digest()
        for index in indexes.tolist()
    )
    return np.frombuffer(ids, np.uint8).reshape(len(indexes), 32)


def contract_data(world: World, count: int) -> list[Batch]:
    """Make contract data: balances of asset contracts, positions, prices, nonces, allowances, instances."""
    rng = world.rng
    asset_shape = _asset_instance(3)
    shapes = [
        _balance(34), _position(22), _nonce(16), _price(12), _allowance(5), _instance(4), asset_shape,
        _counter(2, b"State"), _counter(2, b"Version_of_it"),
    ]  # fmt: skip
    contracts = random_bytes(rng, max(1, count // 400), 32)
    own_asset_contracts = asset_contract_ids(world, np.arange(min(len(world.codes4), 1 + count // 20)))
    batches = []
    counts = split_count(count, [shape.share for shape in shapes])
    for shape, wanted in zip(shapes, counts, strict=True):
        some = min(wanted, len(own_asset_contracts)) if shape is asset_shape else wanted
        asset = np.arange(some) % len(own_asset_contracts)
        popular = (len(contracts) * rng.random(some) ** 3).astype(np.int64)
        values: dict[str, Bytes2D | bytes] = {
            "modified": world.modified(some),
            "contract": contracts[popular],
            "holder": random_bytes(rng, some, 32),
            "amount": world.amounts(some),
            "supply": world.amounts(some),
            "until": be32(world.checkpoint + rng.integers(0, 100_000, some)),
            "number": be64(rng.integers(0, 1 << 62, some)),
            "bytes": random_bytes(rng, some, 32),
            "wasm": random_bytes(rng, max(1, some), 32)[:some],
        }
        if shape is asset_shape:
            for name in ("code", "code_again", "code_in_map"):
                values[name] = world.codes4[asset]
            values |= dict.fromkeys(("issuer", "issuer_in_map"), world.issuers[asset])
            values["contract"] = own_asset_contracts[asset]
        elif shape is shapes[0]:
            few = (len(own_asset_contracts) * rng.random(some) ** 3).astype(np.int64)
            values["contract"] = own_asset_contracts[few]
        elif shape in shapes[5:]:
            values["contract"] = random_bytes(rng, some, 32)
        batches.append(Batch(shape, shape.fill(values, some)))
    missing = count - sum(len(batch.rows) for batch in batches)
    if missing:  # more asset instances were asked for than there are assets: nonces instead
        shape = _nonce(1)
        values = {
            "modified": world.modified(missing),
            "contract": random_bytes(rng, missing, 32),
            "number": be64(rng.integers(0, 1 << 62, missing)),
        }
        batches.append(Batch(shape, shape.fill(values, missing)))
    return batches


def contract_code(world: World, count: int) -> list[Batch]:
    """Make contract code of several sizes; the bytes are no Wasm, and half of them compress."""
    rng = world.rng
    kinds = [(2_000, False, 30), (9_001, True, 40), (24_000, True, 25), (60_002, True, 5)]
    batches = []
    for (size, costs, _), some in zip(kinds, split_count(count, [kind[2] for kind in kinds]), strict=True):
        shape = Shape(CONTRACT_CODE).i32(1, 0, 0, *range(100, 110)) if costs else Shape(CONTRACT_CODE).i32(0)
        shape.begin_key().hole("hash", 32, order=32).end_key().i32(size).raw(b"\0asm" + bytes(size - 4)).end_of_entry()
        rows = shape.fill({"modified": world.modified(some), "hash": random_bytes(rng, some, 32)}, some)
        start = shape.holes["hash"][1] + 4
        rows[:, start + 4 : start + size // 2] = random_bytes(rng, some, size // 2 - 4)
        batches.append(Batch(shape, rows))
    return batches


def config_settings(world: World) -> list[Batch]:
    """Make the settings whose XDR is a few numbers."""
    settings = {
        0: struct.pack(">I", 131_072),
        1: struct.pack(">qqqI", 600_000_000, 100_000_000, 25, 41_943_040),
        3: struct.pack(">q", 16_235),
        4: struct.pack(">Iq", 16_384, 10_000),
        5: struct.pack(">IIq", 133_120, 132_096, 1_624),
        6: struct.pack(">I", 2) + 2 * struct.pack(">iqq", 0, 434, 16),
        8: struct.pack(">I", 250),
        9: struct.pack(">I", 65_536),
        11: struct.pack(">I", 1),
        12: struct.pack(">IQQ", 2, 1 << 30, 1 << 31),
        13: struct.pack(">IIQ", 7, 1, 4_096),
    }
    batches = []
    for number, value in settings.items():
        shape = Shape(CONFIG_SETTING).begin_key().i32(number, order=4).end_key().raw(value).end_of_entry()
        batches.append(Batch(shape, shape.fill({"modified": world.modified(1)}, 1)))
    return batches


def ttls(world: World, keys: Bytes2D) -> Batch:
    """Make the TTL entries of data and code, one in ten expired.

    Args:
        world: what entries refer to.
        keys: SHA-256 of each ledger key.
    """
    shape = Shape(TTL).begin_key().hole("key_hash", 32, order=32).end_key().hole("amount", 4).end_of_entry()
    until = world.checkpoint + world.rng.integers(-100_000, 900_000, len(keys))
    values = {"modified": world.modified(len(keys)), "key_hash": keys, "amount": be32(until)}
    return Batch(shape, shape.fill(values, len(keys)))
