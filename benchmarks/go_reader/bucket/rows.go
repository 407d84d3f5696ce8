package main

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"

	"github.com/stellar/go-stellar-sdk/xdr"
)

// The rows below carry what Horizon's tables of the same entries carry; see row builders of Horizon's ingest package.

type common struct {
	lastModified uint32
	sponsor      string
}

type asset struct {
	kind         int32
	code, issuer string
}

type signer struct {
	address, sponsor string
	weight           uint32
}

type accountRow struct {
	common
	account, inflationDestination, homeDomain string
	balance, buying, selling, sequence        int64
	subentries, flags, sponsored, sponsoring  uint32
	sequenceLedger                            uint32
	sequenceTime                              uint64
	thresholds                                [4]byte
	signers                                   []signer
}

type trustLineRow struct {
	common
	asset
	ledgerKey, account, pool        string
	balance, limit, buying, selling int64
	flags                           uint32
}

type offerRow struct {
	common
	seller          string
	id, amount      int64
	selling, buying asset
	priceN, priceD  int32
	price           float64
	flags           uint32
}

type dataRow struct {
	common
	ledgerKey, account, name, value string
}

type claimant struct {
	Destination string             `json:"destination"`
	Predicate   xdr.ClaimPredicate `json:"predicate"`
}

type claimableBalanceRow struct {
	common
	asset
	id        string
	claimants string
	amount    int64
	flags     uint32
}

type poolRow struct {
	common
	id                         string
	fee                        int32
	a, b                       asset
	reserveA, reserveB, shares int64
	trustLines                 int64
}

type contractDataRow struct {
	common
	contract   string
	key, value []byte
	durability int32
}

type codeRow struct {
	common
	hash string
	size int
}

type ttlRow struct {
	common
	keyHash   string
	liveUntil uint32
}

type settingRow struct {
	common
	value []byte
}

// sink keeps the compiler from dropping the rows.
var sink any

// rowOf builds the row of a live entry and returns the bytes of its texts.
func rowOf(entry *xdr.LedgerEntry, keys *xdr.EncodingBuffer) (int, error) {
	base := common{lastModified: uint32(entry.LastModifiedLedgerSeq)}
	if sponsor := entry.SponsoringID(); sponsor != nil {
		base.sponsor = sponsor.Address()
	}
	size := len(base.sponsor)
	switch entry.Data.Type {
	case xdr.LedgerEntryTypeAccount:
		row := accountOf(base, entry.Data.Account)
		size += len(row.account) + len(row.homeDomain)
		for _, each := range row.signers {
			size += len(each.address) + len(each.sponsor)
		}
		sink = row
	case xdr.LedgerEntryTypeTrustline:
		key, err := keyOf(entry, keys)
		if err != nil {
			return 0, err
		}
		row := trustLineOf(base, key, entry.Data.TrustLine)
		size += len(row.account) + len(row.ledgerKey) + len(row.issuer)
		sink = row
	case xdr.LedgerEntryTypeOffer:
		offer := entry.Data.Offer
		row := offerRow{common: base, seller: offer.SellerId.Address(), id: int64(offer.OfferId),
			amount: int64(offer.Amount), selling: assetOf(offer.Selling), buying: assetOf(offer.Buying),
			priceN: int32(offer.Price.N), priceD: int32(offer.Price.D),
			price: float64(offer.Price.N) / float64(offer.Price.D), flags: uint32(offer.Flags)}
		size += len(row.seller) + len(row.selling.issuer) + len(row.buying.issuer)
		sink = row
	case xdr.LedgerEntryTypeData:
		key, err := keyOf(entry, keys)
		if err != nil {
			return 0, err
		}
		data := entry.Data.Data
		row := dataRow{common: base, ledgerKey: key, account: data.AccountId.Address(), name: string(data.DataName),
			value: base64.StdEncoding.EncodeToString(data.DataValue)}
		size += len(row.account) + len(row.ledgerKey) + len(row.value)
		sink = row
	case xdr.LedgerEntryTypeClaimableBalance:
		row, err := claimableBalanceOf(base, entry.Data.ClaimableBalance)
		if err != nil {
			return 0, err
		}
		size += len(row.id) + len(row.claimants)
		sink = row
	case xdr.LedgerEntryTypeLiquidityPool:
		row := poolOf(base, entry.Data.LiquidityPool)
		size += len(row.id)
		sink = row
	case xdr.LedgerEntryTypeContractData:
		row, err := contractDataOf(base, entry.Data.ContractData)
		if err != nil {
			return 0, err
		}
		size += len(row.contract) + len(row.key) + len(row.value)
		sink = row
	case xdr.LedgerEntryTypeContractCode:
		code := entry.Data.ContractCode
		row := codeRow{common: base, hash: code.Hash.HexString(), size: len(code.Code)}
		size += len(row.hash)
		sink = row
	case xdr.LedgerEntryTypeTtl:
		row := ttlRow{common: base, keyHash: entry.Data.Ttl.KeyHash.HexString(),
			liveUntil: uint32(entry.Data.Ttl.LiveUntilLedgerSeq)}
		size += len(row.keyHash)
		sink = row
	case xdr.LedgerEntryTypeConfigSetting:
		value, err := entry.Data.ConfigSetting.MarshalBinary()
		if err != nil {
			return 0, err
		}
		size += len(value)
		sink = settingRow{common: base, value: value}
	}
	return size, nil
}

func keyOf(entry *xdr.LedgerEntry, keys *xdr.EncodingBuffer) (string, error) {
	key, err := entry.LedgerKey()
	if err != nil {
		return "", err
	}
	return keys.MarshalBase64(key)
}

func assetOf(value xdr.Asset) (result asset) {
	result.kind = int32(value.Type)
	var kind string
	value.MustExtract(&kind, &result.code, &result.issuer)
	return result
}

func accountOf(base common, account *xdr.AccountEntry) accountRow {
	liabilities := account.Liabilities()
	row := accountRow{common: base, account: account.AccountId.Address(),
		inflationDestination: "", homeDomain: string(account.HomeDomain), balance: int64(account.Balance),
		buying: int64(liabilities.Buying), selling: int64(liabilities.Selling), sequence: int64(account.SeqNum),
		subentries: uint32(account.NumSubEntries), flags: uint32(account.Flags),
		sponsored: uint32(account.NumSponsored()), sponsoring: uint32(account.NumSponsoring()),
		sequenceLedger: uint32(account.SeqLedger()), sequenceTime: uint64(account.SeqTime()),
		thresholds: account.Thresholds}
	if account.InflationDest != nil {
		row.inflationDestination = account.InflationDest.Address()
	}
	sponsors := account.SignerSponsoringIDs()
	for i := range account.Signers {
		each := signer{address: account.Signers[i].Key.Address(), weight: uint32(account.Signers[i].Weight)}
		if i < len(sponsors) && sponsors[i] != nil {
			each.sponsor = sponsors[i].Address()
		}
		row.signers = append(row.signers, each)
	}
	if weight := account.MasterKeyWeight(); weight > 0 {
		row.signers = append(row.signers, signer{address: row.account, weight: uint32(weight)})
	}
	return row
}

func trustLineOf(base common, key string, line *xdr.TrustLineEntry) trustLineRow {
	liabilities := line.Liabilities()
	row := trustLineRow{common: base, ledgerKey: key, account: line.AccountId.Address(),
		balance: int64(line.Balance), limit: int64(line.Limit), buying: int64(liabilities.Buying),
		selling: int64(liabilities.Selling), flags: uint32(line.Flags)}
	if line.Asset.Type == xdr.AssetTypeAssetTypePoolShare {
		row.kind, row.pool = int32(line.Asset.Type), hex.EncodeToString(line.Asset.LiquidityPoolId[:])
	} else {
		row.asset = assetOf(line.Asset.ToAsset())
	}
	return row
}

func claimableBalanceOf(base common, balance *xdr.ClaimableBalanceEntry) (claimableBalanceRow, error) {
	id, err := balance.BalanceId.MarshalBinary()
	if err != nil {
		return claimableBalanceRow{}, err
	}
	claimants := make([]claimant, len(balance.Claimants))
	for i, each := range balance.Claimants {
		v0 := each.MustV0()
		claimants[i] = claimant{Destination: v0.Destination.Address(), Predicate: v0.Predicate}
	}
	text, err := json.Marshal(claimants)
	if err != nil {
		return claimableBalanceRow{}, err
	}
	return claimableBalanceRow{common: base, asset: assetOf(balance.Asset), id: hex.EncodeToString(id),
		claimants: string(text), amount: int64(balance.Amount), flags: uint32(balance.Flags())}, nil
}

func poolOf(base common, pool *xdr.LiquidityPoolEntry) poolRow {
	body := pool.Body.MustConstantProduct()
	return poolRow{common: base, id: hex.EncodeToString(pool.LiquidityPoolId[:]), fee: int32(body.Params.Fee),
		a: assetOf(body.Params.AssetA), b: assetOf(body.Params.AssetB), reserveA: int64(body.ReserveA),
		reserveB: int64(body.ReserveB), shares: int64(body.TotalPoolShares),
		trustLines: int64(body.PoolSharesTrustLineCount)}
}

func contractDataOf(base common, data *xdr.ContractDataEntry) (contractDataRow, error) {
	contract, err := data.Contract.String()
	if err != nil {
		return contractDataRow{}, err
	}
	key, err := data.Key.MarshalBinary()
	if err != nil {
		return contractDataRow{}, err
	}
	value, err := data.Val.MarshalBinary()
	if err != nil {
		return contractDataRow{}, err
	}
	return contractDataRow{common: base, contract: contract, key: key, value: value,
		durability: int32(data.Durability)}, nil
}
