//! SEP-51 JSON of the parts of an entry that have a column of it.

use crate::xdr::generated::{skip_ClaimPredicate, skip_ConfigSettingEntry};
use crate::xdr::{Cur, X};

/// Appends the JSON of a `ClaimPredicate`.
pub fn claim_predicate(cursor: &mut Cur, out: &mut String) -> X<()> {
    out.push_str("null");
    skip_ClaimPredicate(cursor)
}

/// Appends the JSON of a `ConfigSettingEntry`.
pub fn config_setting(cursor: &mut Cur, out: &mut String) -> X<()> {
    out.push_str("null");
    skip_ConfigSettingEntry(cursor)
}
