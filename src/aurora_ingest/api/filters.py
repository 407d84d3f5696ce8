"""Parameters that choose records: accounts, assets and ids, judged before any work, refused in Horizon's words."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, Final

from fastapi import Depends, Query
from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from aurora_ingest import _kernel
from aurora_ingest.api.paging import empty_is_absent
from aurora_ingest.api.problems import BadRequest
from aurora_ingest.errors import UsageError
from aurora_ingest.ledger.asset import NATIVE, Asset

_ACCOUNT_REASON: Final = "Account ID must start with `G` and contain 56 alphanum characters"
_ASSET_REASON: Final = (
    'Asset must be the string "native" or a string of the form "Code:IssuerAccountID" for issued assets.'
)
_KIND_REASON: Final = "Asset type must be native, credit_alphanum4 or credit_alphanum12"
_CODE_REASON: Final = "Asset code must be 1-12 alphanumeric characters"
_POOL_REASON: Final = "Liquidity pool ID must be a hex-encoded SHA-256 hash"
_WIDTHS: Final = {"credit_alphanum4": 4, "credit_alphanum12": 12}
_ACCOUNT: Final = "^G[A-Z2-7]{55}$"
_ASSET: Final = "^(native|[a-zA-Z0-9]{1,12}:G[A-Z2-7]{55})$"
_CODE: Final = re.compile("[a-zA-Z0-9]{1,12}")
_HASH: Final = re.compile("[0-9a-fA-F]{64}")
_BALANCE: Final = re.compile("0{8}[0-9a-fA-F]{64}")
_LONGEST: Final = 128


def is_account(text: str) -> bool:
    """Tells whether a text is the id of an account, checksum and all."""
    try:
        return _kernel.strkey_decode(text)[0] == "G"
    except ValueError:
        return False


def is_asset_code(text: str) -> bool:
    """Tells whether a text can be the code of an issued asset."""
    return _CODE.fullmatch(text) is not None


def is_balance_id(text: str) -> bool:
    """Tells whether a text is hex of the XDR of a claimable balance's id."""
    return _BALANCE.fullmatch(text) is not None


def is_hash(text: str) -> bool:
    """Tells whether a text is hex of 32 bytes."""
    return _HASH.fullmatch(text) is not None


def _is_asset(text: str) -> bool:
    try:
        Asset.parse(text)
    except UsageError:
        return False
    return True


def _only(fits: Callable[[str], bool], reason: str) -> AfterValidator:
    def judged(text: str | None) -> str | None:
        if text is not None and not fits(text):
            raise PydanticCustomError("refused", "{reason}", {"reason": reason})
        return text

    return AfterValidator(judged)


def _shown(pattern: str) -> Any:
    """Tells the OpenAPI document what a text has to look like; the judging is ours, for the words of the refusal."""
    return Field(json_schema_extra={"pattern": pattern})


_ABSENT: Final = BeforeValidator(empty_is_absent)
AccountId = Annotated[str, _only(is_account, _ACCOUNT_REASON), _shown(_ACCOUNT)]
"""An account in the path."""
BalanceId = Annotated[
    str,
    _only(is_balance_id, "Claimable Balance ID must be the hex-encoded XDR representation of a Claimable Balance ID"),
    _shown(f"^{_BALANCE.pattern}$"),
]
"""A claimable balance in the path."""
PoolId = Annotated[
    str, _only(is_hash, "Liquidity pool ID must be a hex-encoded SHA-256 hash"), _shown(f"^{_HASH.pattern}$")
]
"""A liquidity pool in the path."""
TransactionHash = Annotated[
    str, _only(is_hash, "Transaction hash must be a hex-encoded SHA-256 hash"), _shown(f"^{_HASH.pattern}$")
]
"""A transaction in the path."""
AccountFilter = Annotated[str | None, _ABSENT, _only(is_account, _ACCOUNT_REASON), Query(), _shown(_ACCOUNT)]
"""An account in the query."""
AssetFilter = Annotated[str | None, _ABSENT, _only(_is_asset, _ASSET_REASON), Query(), _shown(_ASSET)]
"""An asset in the query, `native` or `CODE:ISSUER`."""
PoolFilter = Annotated[
    str | None,
    _ABSENT,
    _only(is_hash, _POOL_REASON),
    Query(),
    _shown(f"^{_HASH.pattern}$"),
]
"""A liquidity pool in the query."""
CodeFilter = Annotated[
    str | None, _ABSENT, _only(is_asset_code, "not a valid asset code"), Query(), _shown(f"^{_CODE.pattern}$")
]
"""The code of an issued asset in the query."""
Text = Annotated[Annotated[str, Field(max_length=_LONGEST)] | None, _ABSENT, Query()]
"""A short text in the query."""


def asset_of_parts(prefix: str, kind: str | None, code: str | None, issuer: str | None) -> Asset | None:
    """Reads an asset that is given in three parameters, as `selling_asset_type`, `…_code` and `…_issuer`.

    Args:
        prefix: how the parameters' names begin, with its underscore.
        kind: Horizon's asset type.
        code: of an issued asset.
        issuer: of an issued asset.

    Returns:
        The asset; None if no parameter is given.

    Raises:
        BadRequest: naming the parameter.
    """
    if kind is None:
        if code is not None or issuer is not None:
            raise BadRequest.of_field(f"{prefix}asset_type", "Missing parameter")
        return None
    if kind == NATIVE:
        for name, value in (("code", code), ("issuer", issuer)):
            if value is not None:
                raise BadRequest.of_field(f"{prefix}asset_{name}", f"native asset does not have a {name}")
        return Asset(NATIVE)
    if kind not in _WIDTHS:
        raise BadRequest.of_field(f"{prefix}asset_type", _KIND_REASON)
    if code is None or not is_asset_code(code) or len(code) > _WIDTHS[kind]:
        raise BadRequest.of_field(f"{prefix}asset_code", _CODE_REASON)
    if issuer is None:
        raise BadRequest.of_field(f"{prefix}asset_issuer", "Missing parameter")
    if not is_account(issuer):
        raise BadRequest.of_field(f"{prefix}asset_issuer", _ACCOUNT_REASON)
    return Asset(kind, code, issuer)


def _one_form(prefix: str, canonical: str | None, parts: tuple[str | None, str | None, str | None]) -> Asset | None:
    asset = asset_of_parts(prefix, *parts)
    if canonical is None:
        return asset
    if asset is not None:
        name = prefix.rstrip("_")
        reason = f"Ambiguous parameter, you can't include both `{name}` and `{prefix}asset_type`."
        raise BadRequest.of_field(f"{prefix}asset_type", reason)
    return Asset.parse(canonical)


async def _selling(
    selling: AssetFilter = None,
    selling_asset_type: Text = None,
    selling_asset_code: Text = None,
    selling_asset_issuer: Text = None,
) -> Asset | None:
    return _one_form("selling_", selling, (selling_asset_type, selling_asset_code, selling_asset_issuer))


async def _buying(
    buying: AssetFilter = None,
    buying_asset_type: Text = None,
    buying_asset_code: Text = None,
    buying_asset_issuer: Text = None,
) -> Asset | None:
    return _one_form("buying_", buying, (buying_asset_type, buying_asset_code, buying_asset_issuer))


SellingAsset = Annotated[Asset | None, Depends(_selling)]
"""The asset that offers sell, in either form."""
BuyingAsset = Annotated[Asset | None, Depends(_buying)]
"""The asset that offers buy, in either form."""
