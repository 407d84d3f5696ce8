"""Values made to hurt: nested very deeply, announcing more than they hold, or very wide."""

from __future__ import annotations

VOID = (1).to_bytes(4, "big")


def words(*numbers: int) -> bytes:
    """Returns 32-bit words."""
    return b"".join(number.to_bytes(4, "big") for number in numbers)


def nested_vec(levels: int) -> bytes:
    """Returns an SCVal of `levels` levels: vecs of one vec, and a void in the last."""
    return words(16, 1, 1) * (levels - 1) + VOID


def nested_map(levels: int) -> bytes:
    """Returns an SCVal of `levels` levels: maps whose one value, under a void, is a map."""
    return words(17, 1, 1, 1) * (levels - 1) + VOID


def nested_instance(levels: int) -> bytes:
    """Returns an SCVal of `levels` levels: contract instances in the storage of contract instances."""
    return words(19, 1, 1, 1, 1) * (levels - 1) + VOID


def nested_not(levels: int) -> bytes:
    """Returns a ClaimPredicate of `levels` levels: not not not … unconditional."""
    return words(3, 1) * (levels - 1) + words(0)


def nested_quorum_set(levels: int) -> bytes:
    """Returns an SCPQuorumSet of `levels` levels without any validators."""
    return words(1, 0, 1) * (levels - 1) + words(1, 0, 0)


def nested_option(levels: int) -> bytes:
    """Returns an SCSpecTypeDef of `levels` levels: an option of an option of … a bool."""
    return words(1000) * (levels - 1) + words(1)


NESTED = {
    "vec": ("SCVal", nested_vec),
    "map": ("SCVal", nested_map),
    "instance": ("SCVal", nested_instance),
    "not": ("ClaimPredicate", nested_not),
    "quorum set": ("SCPQuorumSet", nested_quorum_set),
    "option": ("SCSpecTypeDef", nested_option),
}


def contract_data_key(key: bytes) -> bytes:
    """Returns a LedgerKey of persistent contract data under an SCVal."""
    return words(6, 1) + bytes(32) + key + words(1)
