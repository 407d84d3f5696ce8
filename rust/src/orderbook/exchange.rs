//! What an exchange costs or yields, in stroops, rounded as stellar-core rounds; `None` where it cannot be done.

/// A whole in hundredths of a percent, the unit of pool fees.
const BASIS_POINTS: i128 = 10_000;

/// `x * n / d`, rounded towards zero.
fn down(x: i64, n: i32, d: i32) -> Option<i64> {
    let exact = i128::from(x) * i128::from(n) / i128::from(d);
    i64::try_from(exact).ok()
}

/// `x * n / d`, rounded up.
fn up(x: i64, n: i32, d: i32) -> Option<i64> {
    let (n, d) = (i128::from(n), i128::from(d));
    i64::try_from((i128::from(x) * n + d - 1) / d).ok()
}

/// What is paid, in the buying asset, and taken, in the selling asset, from an offer of `amount` at price `n / d`.
///
/// `wanted` is in the selling asset. Where the price is below one, the whole offer cannot be bought if part of a
/// stroop would be left over: it is bounded first.
pub fn from_offer(amount: i64, wanted: i64, n: i32, d: i32) -> Option<(i64, i64)> {
    let bound = if n > d { amount } else { up(down(amount, n, d)?, d, n)? };
    let sold = bound.min(wanted);
    Some((up(sold, n, d)?, sold))
}

/// What `paid` of the buying asset yields at price `n / d`.
pub fn yield_at(paid: i64, n: i32, d: i32) -> Option<i64> {
    down(paid, d, n)
}

/// `a * b / divisor` and whether something is left over, for `a` and `divisor` below 2^78 and `b` below 2^63.
fn wide(a: i128, b: i64, divisor: i128) -> (i128, bool) {
    // Two digits of b in base 2^32 keep every product below 2^127.
    let (high, low) = (i128::from(b >> 32), i128::from(b & 0xffff_ffff));
    let first = a * high;
    let second = ((first % divisor) << 32) + a * low;
    (((first / divisor) << 32) + second / divisor, second % divisor != 0)
}

/// What a constant-product pool gives for `received`, rounded down.
pub fn pool_gives(received: i64, reserve_in: i64, reserve_out: i64, fee: i32) -> Option<i64> {
    reserve_in.checked_add(received)?;
    let kept = (BASIS_POINTS - i128::from(fee)) * i128::from(received);
    let (given, _) = wide(kept, reserve_out, BASIS_POINTS * i128::from(reserve_in) + kept);
    i64::try_from(given).ok().filter(|&given| given > 0)
}

/// What a constant-product pool asks for `given`, rounded up.
pub fn pool_asks(given: i64, reserve_in: i64, reserve_out: i64, fee: i32) -> Option<i64> {
    if given >= reserve_out {
        return None;
    }
    let divisor = (BASIS_POINTS - i128::from(fee)) * i128::from(reserve_out - given);
    let (asked, rest) = wide(BASIS_POINTS * i128::from(reserve_in), given, divisor);
    let asked = i64::try_from(asked + i128::from(rest)).ok()?;
    reserve_in.checked_add(asked)?;
    (asked > 0).then_some(asked)
}
