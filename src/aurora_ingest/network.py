"""What tells one network from another: passphrase, id, archives' root path, checkpoint frequency, protocol bounds."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Final

from aurora_ingest.errors import UnsupportedProtocolError, UsageError

DEFAULT_CHECKPOINT_FREQUENCY: Final = 64
STELLAR_ROOT_PATH: Final = ".well-known/stellar-history.json"
DIAMNET_ROOT_PATH: Final = ".well-known/diamnet-history.json"
OLDEST_PROTOCOL: Final = 0
"""Every network starts its genesis ledger with protocol 0."""
NEWEST_PROTOCOL: Final = 28
"""The newest protocol whose ledger headers, buckets and entries the kernel was generated for."""
UINT32_MAX: Final = 0xFFFF_FFFF


@dataclass(frozen=True)
class Network:
    """A Stellar-family network, named by its passphrase.

    Attributes:
        passphrase: the text whose SHA-256 is the network id.
        name: short name for people and options; ``custom`` if it is none of the well-known ones.
        root_path: where an archive keeps the newest state (root HAS), relative to the archive's address.
        checkpoint_frequency: ledgers per checkpoint: 64 everywhere but on accelerated test networks (8).
        newest_protocol: ledgers of a newer protocol are refused.
        archive_urls: public mirrors that may be read if the user names none; empty where none is known.
    """

    passphrase: str
    name: str = "custom"
    root_path: str = STELLAR_ROOT_PATH
    checkpoint_frequency: int = DEFAULT_CHECKPOINT_FREQUENCY
    newest_protocol: int = NEWEST_PROTOCOL
    archive_urls: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuses values that no network can have.

        Raises:
            UsageError: an empty passphrase or root path, or a frequency outside 2 to 2**31.
        """
        if not self.passphrase:
            raise UsageError("the network passphrase is empty; give --network or --network-passphrase")
        if not self.root_path or self.root_path.startswith("/"):
            raise UsageError(f"root path {self.root_path!r} of network {self.name} is not a relative path")
        # A frequency of 1 would make the first checkpoint ledger 0, which no network has.
        if not 2 <= self.checkpoint_frequency <= 1 << 31:
            raise UsageError(f"checkpoint frequency {self.checkpoint_frequency} is not between 2 and {1 << 31}")

    @property
    def network_id(self) -> bytes:
        """SHA-256 of the passphrase, 32 bytes."""
        return hashlib.sha256(self.passphrase.encode()).digest()

    def with_checkpoint_frequency(self, frequency: int) -> Network:
        """The same network with checkpoints every ``frequency`` ledgers."""
        return replace(self, checkpoint_frequency=frequency)

    def require_protocol(self, protocol: int, ledger: int) -> None:
        """Refuses a ledger that this build cannot read, before anything of its body is decoded.

        Args:
            protocol: ``ledgerVersion`` of the ledger's header.
            ledger: its sequence, for the message.

        Raises:
            UnsupportedProtocolError: the protocol is newer than ``newest_protocol``.
        """
        if not OLDEST_PROTOCOL <= protocol <= self.newest_protocol:
            raise UnsupportedProtocolError(
                f"ledger {ledger} has protocol {protocol}; this build reads protocols {OLDEST_PROTOCOL} to "
                f"{self.newest_protocol}: install a newer aurora-ingest"
            )

    @staticmethod
    def named(name: str) -> Network:
        """The well-known network of that name.

        Raises:
            UsageError: the name is not a well-known one.
        """
        for network in WELL_KNOWN:
            if network.name == name:
                return network
        known = ", ".join(network.name for network in WELL_KNOWN)
        raise UsageError(f"unknown network {name!r}; known are {known}; for any other give --network-passphrase")

    @staticmethod
    def for_passphrase(passphrase: str) -> Network:
        """The first well-known network with that passphrase, else a custom one with default settings.

        DiamNet's test network has the passphrase of Stellar's: ask for it by name.
        """
        for network in WELL_KNOWN:
            if network.passphrase == passphrase:
                return network
        return Network(passphrase)


def _sdf(path: str) -> tuple[str, ...]:
    return tuple(f"https://history.stellar.org/prd/{path}_00{number}" for number in (1, 2, 3))


PUBNET: Final = Network(
    "Public Global Stellar Network ; September 2015", "pubnet", archive_urls=_sdf("core-live/core_live")
)
TESTNET: Final = Network("Test SDF Network ; September 2015", "testnet", archive_urls=_sdf("core-testnet/core_testnet"))
FUTURENET: Final = Network(
    "Test SDF Future Network ; October 2022", "futurenet", archive_urls=("https://history-futurenet.stellar.org",)
)
STANDALONE: Final = Network("Standalone Network ; February 2017", "standalone")
"""stellar-core's own test network, also called local."""
LOAD_TEST: Final = Network("load test network", "load-test")
"""What stellar-core's apply-load writes."""

# The original's constants. The live Diamante networks name other passphrases in their SDK and documentation, kept
# below; the root path is the one that the original reads.
DIAMNET: Final = Network("Public Global DiamNet Network ; September 2015", "diamnet", root_path=DIAMNET_ROOT_PATH)
DIAMNET_TESTNET: Final = Network("Test SDF Network ; September 2015", "diamnet-testnet", root_path=DIAMNET_ROOT_PATH)
DIAMANTE: Final = Network("Diamante MainNet; SEP 2022", "diamante", root_path=DIAMNET_ROOT_PATH)
DIAMANTE_TESTNET: Final = Network("Diamante Testnet 2024", "diamante-testnet", root_path=DIAMNET_ROOT_PATH)

WELL_KNOWN: Final[tuple[Network, ...]] = (
    PUBNET,
    TESTNET,
    FUTURENET,
    STANDALONE,
    LOAD_TEST,
    DIAMNET,
    DIAMNET_TESTNET,
    DIAMANTE,
    DIAMANTE_TESTNET,
)
