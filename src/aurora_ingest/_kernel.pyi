"""The typed face of the Rust kernel: Stellar XDR to Arrow, bucket merge in core's key order, hashes and keys."""

from collections.abc import Collection, Mapping, Sequence
from typing import Literal, Protocol, TypeAlias, final

__all__ = [
    "COPY_HEADER",
    "COPY_TRAILER",
    "ENTRY_TYPES",
    "LEDGER_TABLES",
    "AlgebraError",
    "ArrowArray",
    "ArrowBatch",
    "ArrowSchema",
    "BucketCutter",
    "BucketDecoder",
    "BucketMerger",
    "BucketSource",
    "ChangeError",
    "HashMismatch",
    "LedgerDecoder",
    "LedgerFrames",
    "MergedRange",
    "OrderBook",
    "OrderBookError",
    "OrderError",
    "RowError",
    "Segment",
    "XdrError",
    "base64_encode_array",
    "close_values_signed",
    "compact_changes",
    "contract_id_of_asset",
    "copy_rows",
    "ed25519_public_key",
    "entry_rows",
    "entry_schema",
    "join_books",
    "key_hash",
    "ledger_key_of",
    "ledger_schema",
    "ledger_sequence_of",
    "level_rows",
    "move_book",
    "native_balances",
    "read_bucket",
    "read_ledger_headers",
    "sha256_array",
    "sort_key",
    "split_books",
    "split_changes",
    "strkey_decode",
    "strkey_encode",
    "strkey_encode_array",
    "version",
    "xdr_split",
    "xdr_to_json",
    "xdr_validate",
]

_Compression: TypeAlias = Literal["gzip", "zstd", "none"]

class _ArrowArrayLike(Protocol):
    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]: ...

ENTRY_TYPES: tuple[str, ...]
"""The ten entry tables; the index is the XDR LedgerEntryType."""

LEDGER_TABLES: tuple[str, ...]
"""The five ledger tables, in the order of LedgerDecoder.take."""

COPY_HEADER: bytes
"""What stands before the tuples of a binary COPY stream."""

COPY_TRAILER: bytes
"""What ends a binary COPY stream."""

class XdrError(ValueError):
    """The bytes are not what the format says.

    Attributes:
        offset: place in the uncompressed stream, in bytes.
        record_index: number of the record in the stream, METAENTRY included, from 0.
        entry_type: entry table of the record, when it got that far.
        reason: what is wrong, without the place.
    """

    offset: int
    record_index: int
    entry_type: str | None
    reason: str

class HashMismatch(ValueError):
    """The uncompressed stream has another SHA-256 than expected."""

    expected: bytes
    computed: bytes

class OrderError(ValueError):
    """The keys of a bucket do not ascend strictly; the text names both records and their sort keys."""

class AlgebraError(ValueError):
    """METAENTRY, INITENTRY, LIVEENTRY and DEADENTRY break the bucket rules."""

class OrderBookError(ValueError):
    """Changes that the order book cannot take; it is as before."""

class ChangeError(ValueError):
    """Two changes of one ledger that cannot both have happened.

    Attributes:
        first: ``change_index`` of the earlier one; equals ``second`` if a change contradicts its own form.
        second: ``change_index`` of the later one.
    """

    first: int
    second: int

class RowError(ValueError):
    """A value that the target column cannot hold.

    Attributes:
        row: number of the row in the batch.
        column: name of the column.
        reason: what is wrong with the value.
    """

    row: int
    column: str
    reason: str

@final
class ArrowBatch:
    """A record batch; ``pyarrow.record_batch(x)`` takes it over without copying."""

    @property
    def num_rows(self) -> int: ...
    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]: ...
    def __arrow_c_schema__(self) -> object: ...

@final
class ArrowArray:
    """An array; ``pyarrow.array(x)`` takes it over without copying."""

    def __len__(self) -> int: ...
    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]: ...

@final
class ArrowSchema:
    """A schema; ``pyarrow.schema(x)`` takes it over."""

    def __arrow_c_schema__(self) -> object: ...

@final
class BucketDecoder:
    """Decodes one bucket, fed in chunks of any size, to Arrow batches; works without the GIL.

    Every record is validated wholly before any of its columns is filled. After an error the object stays failed and
    raises it again.

    Args:
        columns: entry table to the columns wanted (None: all of them); tables that are not named are validated only.
            None builds all ten entry tables and ``dead``.
        compression: of the chunks.
        batch_rows: rows over all tables at which a batch is full, 65,536 by default.
        batch_bytes: XDR bytes over all tables at which a batch is full.
        max_record: largest record body in bytes.
        max_depth: deepest nesting of recursive values, 1500 by default.
        max_inflated: largest uncompressed stream in bytes.
        expected_sha256: of the uncompressed stream; checked by ``finish``.
        kind: live bucket or hot-archive bucket.
        network_id: SHA-256 of the passphrase; needed to recognise asset contracts.
        check_order: refuse keys that do not ascend strictly.
    """

    def __new__(
        cls,
        *,
        columns: Mapping[str, Sequence[str] | None] | None = None,
        compression: _Compression = "gzip",
        batch_rows: int = ...,
        batch_bytes: int = ...,
        max_record: int = ...,
        max_depth: int = ...,
        max_inflated: int | None = None,
        expected_sha256: bytes | None = None,
        kind: Literal["live", "hot"] = "live",
        network_id: bytes | None = None,
        check_order: bool = True,
    ) -> BucketDecoder: ...
    def feed(self, chunk: bytes) -> list[tuple[str, ArrowBatch]]:
        """Take compressed bytes; return the batches they filled, without empty tables.

        Raises:
            XdrError: the bytes are damaged or break the format.
            OrderError: keys do not ascend.
            AlgebraError: META or INIT entries where none may be.
        """

    def finish(self) -> list[tuple[str, ArrowBatch]]:
        """End the stream; return the last batches, without empty tables.

        Raises:
            HashMismatch: the stream has another SHA-256 than expected.
            XdrError: the stream is cut off.
        """

    @property
    def sha256(self) -> bytes: ...
    @property
    def entries(self) -> int: ...
    @property
    def protocol(self) -> int | None: ...
    @property
    def uncompressed_bytes(self) -> int: ...

@final
class Segment:
    """Consecutive records of one bucket.

    Attributes:
        first_key: sort key of the first record.
        records: number of records.
        data: the records with their frame headers, without METAENTRY.
    """

    @property
    def first_key(self) -> bytes: ...
    @property
    def records(self) -> int: ...
    @property
    def data(self) -> bytes: ...

@final
class BucketCutter:
    """Verifies one live bucket in a single pass and cuts it into segments."""

    def __new__(
        cls,
        *,
        compression: _Compression = "gzip",
        expected_sha256: bytes | None = None,
        segment_records: int = 4096,
        segment_bytes: int = ...,
        max_record: int = ...,
        max_depth: int = ...,
    ) -> BucketCutter: ...
    def feed(self, chunk: bytes) -> list[Segment]:
        """Take compressed bytes; return the segments they completed. Raises as BucketDecoder.feed."""

    def finish(self) -> list[Segment]:
        """End the stream; return its last segments. Raises as BucketDecoder.finish."""

    @property
    def sha256(self) -> bytes: ...
    @property
    def protocol(self) -> int | None: ...
    @property
    def uncompressed_bytes(self) -> int: ...
    @property
    def entries(self) -> int: ...
    @property
    def live(self) -> int: ...
    @property
    def init(self) -> int: ...
    @property
    def dead(self) -> int: ...

@final
class BucketSource:
    """One bucket of a merge, or cut segments of one.

    Args:
        name: for texts, the bucket's hash.
        compression: of the bytes that will be fed.
        expected_sha256: of the whole uncompressed stream; None for cut segments.
        protocol: of the bucket, only when its METAENTRY was cut off.
    """

    def __new__(
        cls, name: str, compression: _Compression, expected_sha256: bytes | None, protocol: int | None = None
    ) -> BucketSource: ...
    @property
    def name(self) -> str: ...
    @property
    def protocol(self) -> int | None: ...

@final
class MergedRange:
    """One finished key range.

    Attributes:
        index: number of the range.
        first_key: sort key at which the range starts.
        last: True for the range without an upper bound.
        skipped: True when it was one of ``skip_ranges``: no batches.
        entries: live entries by entry table.
        records_read: records of all buckets in this range, hidden and dead ones included.
        batches: every table of the projection once, empty ones too.
    """

    @property
    def index(self) -> int: ...
    @property
    def first_key(self) -> bytes: ...
    @property
    def last(self) -> bool: ...
    @property
    def skipped(self) -> bool: ...
    @property
    def entries(self) -> dict[str, int]: ...
    @property
    def records_read(self) -> int: ...
    @property
    def batches(self) -> list[tuple[str, ArrowBatch]]: ...

@final
class BucketMerger:
    """Merges up to 24 buckets, newest first, to the rows that are alive: the newest record of a key wins, DEAD hides.

    Without bounds it finds all key ranges on its way; with ``lower`` or ``upper`` it makes the one range
    ``range_index`` (lower included, upper not) out of sources that may begin and end outside.

    Args:
        sources: newest first.
        columns: as in BucketDecoder; None builds all ten entry tables.
        network_id: SHA-256 of the passphrase; needed to recognise asset contracts.
        segment_records: records of a bucket after which a segment starts.
        segment_bytes: framed record bytes of a bucket after which a segment starts.
        segments_per_range: distinct segment starts that make a range.
        lower: sort key at which the one range starts.
        upper: sort key before which the one range ends.
        range_index: number of the one range.
        skip_ranges: numbers of ranges that are counted but not built.
        max_record: largest record body in bytes.
        max_depth: deepest nesting of recursive values, 1500 by default.
        strict_algebra: raise when the record below an INITENTRY is INITENTRY or LIVEENTRY.
    """

    def __new__(
        cls,
        sources: Sequence[BucketSource],
        *,
        columns: Mapping[str, Sequence[str] | None] | None = None,
        network_id: bytes | None = None,
        segment_records: int = 4096,
        segment_bytes: int = ...,
        segments_per_range: int = 16,
        lower: bytes | None = None,
        upper: bytes | None = None,
        range_index: int = 0,
        skip_ranges: Collection[int] | None = None,
        max_record: int = ...,
        max_depth: int = ...,
        strict_algebra: bool = False,
    ) -> BucketMerger: ...
    def advance(self) -> int | MergedRange | None:
        """Merge without the GIL until something is needed or done.

        Returns:
            A source's number: it wants ``feed`` or ``end``. A MergedRange: a finished one. None: all is merged.

        Raises:
            HashMismatch: a source's stream has another SHA-256 than expected.
            XdrError: a source's bytes are damaged or break the format.
            OrderError: a source's keys do not ascend.
            AlgebraError: META or INIT entries where none may be; INIT pairs with ``strict_algebra``.
        """

    def feed(self, source: int, chunk: bytes) -> None:
        """Give a source its next bytes.

        Raises:
            IndexError: there is no such source, or it was ended.
        """

    def end(self, source: int) -> None:
        """Say that a source has no more bytes.

        Raises:
            IndexError: there is no such source.
        """

    @property
    def algebra_warnings(self) -> list[tuple[str, str, str, str]]:
        """The first 100 broken INIT pairs: newer bucket, older bucket, LedgerKey XDR in hex, text."""

    @property
    def algebra_warning_count(self) -> int: ...
    def source_stats(self, source: int) -> dict[str, int | bytes | None]:
        """Return entries, live, init, dead, protocol, sha256 (None before the end) and uncompressed_bytes."""

@final
class LedgerFrames:
    """Cuts a stream, fed in chunks of any size, into whole ledgers; works without the GIL.

    Every ledger is validated wholly, unless the caller leaves that to LedgerDecoder. Ledgers in front of a fault are
    returned; the next call raises it. After that the object stays failed.

    Args:
        framing: ``framed`` (records of one LedgerCloseMeta), ``batch`` (one LedgerCloseMetaBatch), ``single`` (one bare
            LedgerCloseMeta).
        compression: of the chunks.
        max_record: largest ledger in bytes.
        max_inflated: largest uncompressed stream in bytes.
        max_depth: deepest nesting of recursive values, 1500 by default.
        validate: False for a reader whose ledgers go to LedgerDecoder, which checks them anyway: only what tells the
            end and the sequence of a ledger is read, and the last one of a batch ends with the stream.
    """

    def __new__(
        cls,
        *,
        framing: Literal["framed", "batch", "single"],
        compression: _Compression,
        max_record: int = ...,
        max_inflated: int | None = None,
        max_depth: int = ...,
        validate: bool = True,
    ) -> LedgerFrames: ...
    def feed(self, chunk: bytes) -> list[tuple[int, bytes]]:
        """Take compressed bytes; return sequence and LedgerCloseMeta XDR of the ledgers that they complete.

        Raises:
            XdrError: the compression or the framing is damaged, or a record is not a LedgerCloseMeta.
        """

    def finish(self) -> list[tuple[int, bytes]]:
        """End the stream; return the ledgers that only its end completes.

        Raises:
            XdrError: the stream is cut off (``offset``: of the frame), or a batch holds other ledgers than it says.
        """

    @property
    def uncompressed_bytes(self) -> int: ...

@final
class LedgerDecoder:
    """Decodes ledgers, one bare LedgerCloseMeta at a time, to growing tables; works without the GIL.

    A ledger is checked wholly before its first row is built: an error leaves no row of it, and the object can go on.
    Results and envelopes meet by transaction hash; a result without envelope has no rows in ``transactions`` and
    ``operations`` and is counted in ``unmatched_transactions`` of its ledger.

    Args:
        network_id: SHA-256 of the passphrase.
        columns: ledger table to the columns wanted (None: all of them but ``changes.post_json``, which is built only
            when it is named); tables that are not named are not built. None builds all five tables.
        max_depth: deepest nesting of recursive values, 1500 by default.
    """

    def __new__(
        cls,
        *,
        network_id: bytes,
        columns: Mapping[str, Sequence[str] | None] | None = None,
        max_depth: int = ...,
    ) -> LedgerDecoder: ...
    def push(self, lcm: bytes, *, has_meta: bool = True, tolerant: bool = False) -> int:
        """Add the rows of one ledger; return its sequence.

        Args:
            lcm: the LedgerCloseMeta.
            has_meta: False when its source had no metas: their columns are null, there are no changes and no events.
            tolerant: pass over a transaction with a wrong value if there is no doubt where the value ends (a bool, a
                member of an enum, padding, a bound); it gets no rows and is told by `take_refused`.

        Raises:
            XdrError: the bytes are not exactly one LedgerCloseMeta (``record_index``: ledgers pushed before), or more
                than 256 MiB of ledgers (128 MiB with JSON) would be built without a take.
        """

    def take(self) -> dict[str, ArrowBatch]:
        """Return every table of the projection, empty ones too; all of them start anew."""

    def take_refused(self) -> list[tuple[int, int, bool, str]]:
        """Return what was passed over since the last call.

        Returns:
            ledger sequence, place in apply order from 1, whether its changes are lost as well (else they have their
            rows), and what is wrong, of every transaction that got no rows.
        """

    @property
    def ledgers(self) -> int: ...
    @property
    def rows(self) -> int: ...
    @property
    def bytes(self) -> int: ...

def read_bucket(
    data: bytes,
    *,
    columns: Mapping[str, Sequence[str] | None] | None = None,
    compression: _Compression = "gzip",
    max_record: int = ...,
    max_depth: int = ...,
    max_inflated: int | None = None,
    expected_sha256: bytes | None = None,
    kind: Literal["live", "hot"] = "live",
    network_id: bytes | None = None,
    check_order: bool = True,
) -> dict[str, ArrowBatch]:
    """Decode a whole bucket to one batch per table, empty tables too.

    Raises:
        ValueError: the bucket is too large for one batch per table; and as BucketDecoder.
    """

def entry_schema(table: str) -> ArrowSchema:
    """Return the schema of an entry table (or ``dead``) with all its columns.

    Raises:
        KeyError: there is no such table.
    """

def read_ledger_headers(data: bytes, *, compression: _Compression = "gzip") -> ArrowBatch:
    """Read framed LedgerHeaderHistoryEntry records, in their order, to one batch; hashes and chain are not judged.

    Raises:
        XdrError: the bytes are not such records.
        ValueError: the compression is damaged.
    """

def xdr_validate(type_name: str, data: bytes, max_depth: int = ...) -> None:
    """Refuse bytes that are not exactly one value of the XDR type.

    Raises:
        XdrError: they are not.
        KeyError: there is no such type.
    """

def xdr_split(type_name: str, data: bytes, max_depth: int = ...) -> list[bytes]:
    """Cut values of one XDR type that stand one after another into their bytes. Raises as xdr_validate."""

def xdr_to_json(type_name: str, data: bytes, max_depth: int = ...) -> str:
    """Return the SEP-51 JSON of one value. Raises as xdr_validate."""

def sort_key(ledger_key_xdr: bytes) -> bytes:
    """Return bytes whose order is stellar-core's order of ledger keys. Raises XdrError."""

def ledger_key_of(entry_xdr: bytes) -> bytes:
    """Return the LedgerKey XDR of a LedgerEntry. Raises XdrError."""

def ledger_schema(table: str) -> ArrowSchema:
    """Return the schema of a ledger table with all its columns.

    Raises:
        KeyError: there is no such table.
    """

def ledger_sequence_of(lcm: bytes) -> int:
    """Return the sequence of a ledger, read from the start of its LedgerCloseMeta. Raises XdrError."""

def key_hash(ledger_key_xdr: bytes) -> bytes:
    """Return the SHA-256 of a LedgerKey, under which its TTL is kept. Raises XdrError."""

def contract_id_of_asset(network_id: bytes, asset_xdr: bytes) -> bytes:
    """Return the id of the contract that a network keeps for an asset, 32 bytes. Raises XdrError."""

def strkey_encode(kind: str, payload: bytes) -> str:
    """Return the strkey of a payload; `kind` is the letter it begins with.

    Raises:
        ValueError: no such kind, or the payload is not of its form.
    """

def strkey_decode(text: str) -> tuple[str, bytes]:
    """Return letter and payload of a strkey.

    Raises:
        ValueError: the text is not a strkey.
    """

def strkey_encode_array(kind: str, payloads: _ArrowArrayLike) -> ArrowArray:
    """Return the strkeys of an array of fixed_size_binary[32]; null stays null.

    Raises:
        ValueError: no such kind, or its payloads have another length.
        TypeError: another type of array.
    """

def base64_encode_array(values: _ArrowArrayLike) -> ArrowArray:
    """Return the base64 texts of an array of binary, or of lists of binary; null stays null.

    Raises:
        TypeError: another type of array.
    """

def close_values_signed(headers: _ArrowArrayLike, network_id: bytes) -> ArrowArray:
    """Tell whether the close value of each LedgerHeader is signed by the node that it names.

    The signed bytes are network id, ENVELOPE_TYPE_SCPVALUE, hash of the transaction set and close time.

    Args:
        headers: binary array of LedgerHeader XDR.
        network_id: SHA-256 of the passphrase, 32 bytes.

    Returns:
        Boolean array; null for a value without signature, or of a form whose signed bytes are not known.

    Raises:
        ValueError: a value is not a LedgerHeader.
        TypeError: another type of array.
    """

def sha256_array(values: _ArrowArrayLike) -> ArrowArray:
    """Return the SHA-256 of each value of a binary array as fixed_size_binary[32]; null stays null.

    Raises:
        TypeError: another type of array.
    """

def native_balances(entries: _ArrowArrayLike, network_id: bytes) -> ArrowArray:
    """Return the native stroops in each LedgerEntry (account, claimable balance, pool, contract) of an array as int64.

    Raises:
        ValueError: a value is not a LedgerEntry.
        TypeError: another type of array.
    """

def ed25519_public_key(seed: bytes) -> bytes:
    """Return the public key of an ed25519 seed, both of 32 bytes. Raises ValueError for another length."""

def version() -> dict[str, str]:
    """Return the version of the kernel."""

def entry_rows(
    entries: _ArrowArrayLike,
    *,
    columns: Mapping[str, Sequence[str] | None] | None = None,
    network_id: bytes | None = None,
) -> dict[str, ArrowBatch]:
    """Return the typed rows of a binary array of LedgerEntry XDR, by entry table; nulls are left out.

    Args:
        entries: binary array of n entries.
        columns: entry table to the columns wanted (None: all of them); None builds all ten entry tables.
        network_id: SHA-256 of the passphrase; needed to recognise asset contracts.

    Raises:
        XdrError: an element is no LedgerEntry; ``record_index`` is its place.
        ValueError: the entries are more than one batch holds.
    """

def compact_changes(changes: _ArrowArrayLike) -> ArrowBatch:
    """Return one net change per key of the changes of one ledger, in core's key order.

    Columns: ledger_sequence, ledger_key, key_hash (of a TTL: the hash that it names), entry_type, pre_known, pre_xdr,
    post_xdr, evicted, restored, first_change, last_change. ``pre_known`` is false where nothing tells whether the entry
    was there before: a restored, evicted or otherwise first changed entry without its former image. Keys that came and
    went within the ledger are left out.

    Args:
        changes: rows of the ledger table ``changes`` in their order; only the columns ledger_sequence, change_index,
            phase (if it is there), type, entry_type, ledger_key, key_hash, pre_xdr and post_xdr are read.

    Raises:
        ChangeError: two changes contradict each other, or are of two ledgers.
        XdrError: a key is no LedgerKey.
        ValueError: the batch is not of that form.
    """

def copy_rows(batch: _ArrowArrayLike, pg_types: Sequence[str]) -> bytes:
    """Return the rows as tuples of PostgreSQL's binary COPY, without COPY_HEADER and COPY_TRAILER.

    Args:
        batch: a record batch.
        pg_types: PostgreSQL's name of each column's type, in the order of the columns.

    Raises:
        RowError: a value that its column cannot hold (range, length, NUL).
        ValueError: the types do not fit the columns.
    """

@final
class OrderBook:
    """All offers and pools of a network at one ledger; assets are named by their base64 XDR.

    Offers are rows of the table ``offers``; pools have the columns ``id``, ``asset_a``, ``asset_b`` (utf8),
    ``reserve_a``, ``reserve_b`` (int64, stroops) and ``fee`` (int32, hundredths of a percent).
    """

    def __new__(cls) -> OrderBook: ...
    @property
    def ledger(self) -> int | None: ...
    @property
    def offers(self) -> int: ...
    @property
    def pools(self) -> int: ...
    def load(self, ledger: int, offers: _ArrowArrayLike, pools: _ArrowArrayLike | None = None) -> None:
        """Take a whole state, in the place of the former one.

        Raises:
            OrderBookError: an offer or pool that cannot be traded with.
            ValueError: a column is missing, of another type, or has nulls.
        """

    def apply(
        self,
        ledger: int,
        offers: _ArrowArrayLike,
        removed_offers: _ArrowArrayLike,
        pools: _ArrowArrayLike,
        removed_pools: _ArrowArrayLike,
    ) -> None:
        """Take the changes of the next ledger: what is new or changed, and the ids (int64; utf8) of what left.

        Raises:
            OrderBookError: it is not the next ledger, or as ``load``.
            ValueError: as ``load``.
        """

    def paths(
        self,
        start: str,
        amount: int,
        ends: Sequence[tuple[str, int | None]],
        *,
        receive: bool,
        max_hops: int,
        own_account: str | None = None,
        every: bool = False,
        pools: bool = True,
        seconds: float | None = None,
    ) -> list[tuple[int, list[str]]]:
        """Search from ``start`` for ways to the ends; ``receive`` goes from destination to source.

        Returns:
            The amount at the end and all assets of each way, start first, as found: the ways that were the best to
            their end when they were seen, or every way without a repeated asset.

        Raises:
            TimeoutError: the search took longer than ``seconds``.
        """

    def fingerprint(self) -> bytes:
        """Return 32 bytes that are the same for the same offers and pools, however they came here; of no ledger."""

    def levels(self, selling: str, buying: str, limit: int) -> list[tuple[int, int, int, int]]:
        """Return price n and d in lowest terms, stroops and number of offers of the cheapest prices of a pair."""

def split_books(offers: _ArrowArrayLike, pools: _ArrowArrayLike) -> ArrowBatch:
    """Return one row per asset pair of a state, or of a part of it: base_asset, counter_asset, book, entries.

    ``book`` are bytes that only these functions read. The base asset is the lesser one in stellar-core's order; pairs
    are in that order.

    Args:
        offers: ``offer_id``, ``selling_asset``, ``buying_asset``, ``amount``, ``pricen``, ``priced``.
        pools: ``id``, ``asset_a``, ``asset_b``, ``reserve_a``, ``reserve_b``, ``fee``.

    Raises:
        OrderBookError: an offer or pool that cannot be traded with.
        ValueError: a column is missing, of another type, or has nulls.
    """

def split_changes(
    offers_before: _ArrowArrayLike,
    offers_after: _ArrowArrayLike,
    pools_before: _ArrowArrayLike,
    pools_after: _ArrowArrayLike,
) -> ArrowBatch:
    """Return one row per pair that the net changes of a ledger change: base_asset, counter_asset, change, entries.

    ``entries`` are the offers and pools that change. Columns, order and errors as ``split_books``.
    """

def join_books(parts: Sequence[bytes]) -> bytes:
    """Return the book that parts of a state make together. Raises OrderBookError for other bytes."""

def move_book(
    book: bytes, changes: Sequence[bytes], *, depth: int, backwards: bool = False
) -> tuple[bytes, list[bytes]]:
    """Move a book over the changes of ledgers, one after the other, and add it up after each.

    Args:
        book: bytes of ``split_books``.
        changes: bytes of ``split_changes`` in the order in which they are applied.
        depth: most prices on each side.
        backwards: undo the changes.

    Returns:
        The book after all of them, and after each its levels, for ``level_rows``.

    Raises:
        OrderBookError: a change does not fit the book; its arguments are the reason and the change's place.
    """

def level_rows(base: _ArrowArrayLike, counter: _ArrowArrayLike, levels: _ArrowArrayLike, *, json: bool) -> ArrowBatch:
    """Return the columns of ``order_book_levels`` but ledger and time, one row per levels of ``move_book``.

    Args:
        base: base asset of each row, base64 XDR.
        counter: counter asset.
        levels: binary.
        json: bids and asks as JSON texts instead of lists.

    Raises:
        ValueError: an asset is none, or the bytes are no levels.
    """
