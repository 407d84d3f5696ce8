"""Assets: base64 XDR as the tables have it, ``native`` or ``CODE:ISSUER`` as people write it."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Final

from aurora_ingest import _kernel
from aurora_ingest.errors import UsageError

NATIVE: Final = "native"

_CODE: Final = re.compile(r"[a-zA-Z0-9]{1,12}")
_TYPE_BYTES: Final = 4
_SHORT_CODE: Final = 4
_LONG_CODE: Final = 12
_KINDS: Final = {1: ("credit_alphanum4", _SHORT_CODE), 2: ("credit_alphanum12", _LONG_CODE)}
_ED25519: Final = bytes(4)


@dataclass(frozen=True)
class Asset:
    """An asset that can be traded and paid with.

    Attributes:
        kind: ``native``, ``credit_alphanum4`` or ``credit_alphanum12``, Horizon's ``asset_type``.
        code: one to twelve characters; empty for the native asset.
        issuer: account that issues it, ``G…``; empty for the native asset.
    """

    kind: str
    code: str = ""
    issuer: str = ""

    def __str__(self) -> str:
        """``native`` or ``CODE:ISSUER``."""
        return NATIVE if self.kind == NATIVE else f"{self.code}:{self.issuer}"

    @cached_property
    def key(self) -> str:
        """Base64 of the XDR ``Asset``: how tables and the order book name it."""
        if self.kind == NATIVE:
            return base64.b64encode(bytes(_TYPE_BYTES)).decode()
        number, width = next((number, width) for number, (kind, width) in _KINDS.items() if kind == self.kind)
        code = self.code.encode().ljust(width, b"\0")
        _, issuer = _kernel.strkey_decode(self.issuer)
        return base64.b64encode(number.to_bytes(_TYPE_BYTES, "big") + code + _ED25519 + issuer).decode()

    @classmethod
    def parse(cls, text: str) -> Asset:
        """Reads ``native`` or ``CODE:ISSUER``.

        Raises:
            UsageError: it is neither.
        """
        if text == NATIVE:
            return cls(NATIVE)
        code, colon, issuer = text.partition(":")
        if not colon or not _CODE.fullmatch(code):
            raise UsageError(
                f"asset {text!r}: expected native or CODE:ISSUER with a code of 1 to 12 letters and digits"
            )
        try:
            kind, _ = _kernel.strkey_decode(issuer)
        except ValueError as error:
            raise UsageError(f"asset {text!r}: issuer {issuer!r} is not an account: {error}") from error
        if kind != "G":
            raise UsageError(f"asset {text!r}: issuer {issuer!r} is not an account; one begins with G")
        return cls("credit_alphanum4" if len(code) <= _SHORT_CODE else "credit_alphanum12", code, issuer)

    @classmethod
    def of_key(cls, key: str) -> Asset:
        """Reads the base64 of an XDR ``Asset``; those read last are remembered.

        Raises:
            ValueError: it is none.
        """
        return _of_key(key)


@lru_cache(maxsize=1 << 16)
def _of_key(key: str) -> Asset:
    try:
        xdr = base64.b64decode(key, validate=True)
    except binascii.Error as error:
        raise ValueError(f"asset {key!r} is not base64: {error}") from error
    _kernel.xdr_validate("Asset", xdr)
    number = int.from_bytes(xdr[:_TYPE_BYTES], "big")
    if number == 0:
        return Asset(NATIVE)
    kind, width = _KINDS[number]
    code = xdr[_TYPE_BYTES : _TYPE_BYTES + width].rstrip(b"\0")
    return Asset(kind, code.decode(errors="backslashreplace"), _kernel.strkey_encode("G", xdr[-32:]))
