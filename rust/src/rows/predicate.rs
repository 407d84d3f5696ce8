//! Claim predicates in two forms: Horizon's `claimants` column (JSON as PostgreSQL prints a jsonb value) and SEP-51's JSON.

use super::reader::{Read, Reader};
use crate::text::decimal_into;

/// Seconds from the first moment of Go's absolute calendar to 1970; times before it wrap around by 2^64 seconds.
const UNIX_TO_ABSOLUTE: i64 = 9_223_372_028_741_760_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// Reads a `ClaimPredicate` and appends its JSON in both forms.
///
/// Horizon's has keys by length, then bytes, and a space behind colons and commas. Both are written in one walk, by
/// hand: half of the time that claimable balances took went into reading predicates again for the second form.
pub fn write(r: &mut Reader, horizon: &mut Vec<u8>, sep51: &mut Vec<u8>) -> Read<()> {
    match r.u32("ClaimPredicate.type")? {
        0 => {
            horizon.extend_from_slice(b"{\"unconditional\": true}");
            sep51.extend_from_slice(b"\"unconditional\"");
        }
        1 => {
            horizon.extend_from_slice(b"{\"and\": [");
            sep51.extend_from_slice(b"{\"and\":[");
            write_list(r, horizon, sep51)?;
        }
        2 => {
            horizon.extend_from_slice(b"{\"or\": [");
            sep51.extend_from_slice(b"{\"or\":[");
            write_list(r, horizon, sep51)?;
        }
        3 => {
            horizon.extend_from_slice(b"{\"not\": ");
            sep51.extend_from_slice(b"{\"not\":");
            if r.flag("ClaimPredicate.notPredicate")? {
                write(r, horizon, sep51)?;
            } else {
                horizon.extend_from_slice(b"null");
                sep51.extend_from_slice(b"null");
            }
            horizon.push(b'}');
            sep51.push(b'}');
        }
        4 => {
            let seconds = r.i64("ClaimPredicate.absBefore")?;
            horizon.extend_from_slice(b"{\"abs_before\": \"");
            utc_time_into(seconds, horizon);
            horizon.extend_from_slice(b"\", \"abs_before_epoch\": \"");
            decimal_into(seconds, horizon);
            horizon.extend_from_slice(b"\"}");
            sep51.extend_from_slice(b"{\"before_absolute_time\":\"");
            decimal_into(seconds, sep51);
            sep51.extend_from_slice(b"\"}");
        }
        5 => {
            let seconds = r.i64("ClaimPredicate.relBefore")?;
            horizon.extend_from_slice(b"{\"rel_before\": \"");
            decimal_into(seconds, horizon);
            horizon.extend_from_slice(b"\"}");
            sep51.extend_from_slice(b"{\"before_relative_time\":\"");
            decimal_into(seconds, sep51);
            sep51.extend_from_slice(b"\"}");
        }
        _ => return r.refuse("ClaimPredicate.type"),
    }
    Ok(())
}

fn write_list(r: &mut Reader, horizon: &mut Vec<u8>, sep51: &mut Vec<u8>) -> Read<()> {
    for position in 0..r.u32("ClaimPredicate")? {
        if position > 0 {
            horizon.extend_from_slice(b", ");
            sep51.push(b',');
        }
        write(r, horizon, sep51)?;
    }
    horizon.extend_from_slice(b"]}");
    sep51.extend_from_slice(b"]}");
    Ok(())
}

/// Appends a Unix time as `YYYY-MM-DDThh:mm:ssZ`, years beyond 9999 with a plus, as Horizon shows any int64.
fn utc_time_into(seconds: i64, out: &mut Vec<u8>) {
    let (day, of_day) = if seconds < -UNIX_TO_ABSOLUTE {
        let (seconds, per_day) = (i128::from(seconds) + (1 << 64), i128::from(SECONDS_PER_DAY));
        (seconds.div_euclid(per_day) as i64, seconds.rem_euclid(per_day) as i64)
    } else {
        (seconds.div_euclid(SECONDS_PER_DAY), seconds.rem_euclid(SECONDS_PER_DAY))
    };
    let (year, month, date) = civil_date(day);
    match year {
        ..0 => out.push(b'-'),
        0..10_000 => {}
        _ => out.push(b'+'),
    }
    let year = year.abs();
    if year < 10_000 {
        out.extend_from_slice(&two_digits(year / 100));
        out.extend_from_slice(&two_digits(year % 100));
    } else {
        decimal_into(year, out);
    }
    for (mark, number) in [
        (b'-', month),
        (b'-', date),
        (b'T', of_day / 3600),
        (b':', of_day / 60 % 60),
        (b':', of_day % 60),
    ] {
        let [tens, ones] = two_digits(number);
        out.extend_from_slice(&[mark, tens, ones]);
    }
    out.push(b'Z');
}

/// Two digits of a number below 100.
fn two_digits(number: i64) -> [u8; 2] {
    [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8]
}

/// Returns year, month and day of a day counted from 1970-01-01, by the Gregorian rules carried on without end.
///
/// Days are counted in years that begin in March, so that the leap day comes last.
fn civil_date(day: i64) -> (i64, i64, i64) {
    const DAYS_PER_400_YEARS: i64 = 146_097;
    let day = day + 719_468; // days from 0000-03-01 to 1970-01-01
    let era = day.div_euclid(DAYS_PER_400_YEARS);
    let of_era = day.rem_euclid(DAYS_PER_400_YEARS);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day_of_month = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day_of_month)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xdr::Cur;
    use crate::xdr::generated::json_ClaimPredicate;

    /// Horizon's form, after the other was compared with what the generated writer makes.
    fn json(xdr: &[u8]) -> String {
        let (mut horizon, mut sep51) = (Vec::new(), Vec::new());
        let mut reader = Reader::new(xdr);
        write(&mut reader, &mut horizon, &mut sep51).unwrap();
        reader.end().unwrap();
        let mut generated = String::new();
        json_ClaimPredicate(&mut Cur::new(xdr), &mut generated).unwrap();
        assert_eq!(String::from_utf8(sep51).unwrap(), generated);
        String::from_utf8(horizon).unwrap()
    }

    fn utc_time(seconds: i64) -> String {
        let mut out = Vec::new();
        utc_time_into(seconds, &mut out);
        String::from_utf8(out).unwrap()
    }

    /// The times that Horizon's own tests state.
    #[test]
    fn times_of_any_int64_are_shown_as_horizon_does() {
        let cases = [
            (0, "1970-01-01T00:00:00Z"),
            (1_598_440_539, "2020-08-26T11:15:39Z"),
            (28_382_400_000, "2869-05-27T00:00:00Z"),
            (i64::MAX, "+292277026596-12-04T15:30:07Z"),
            (-10, "1969-12-31T23:59:50Z"),
            (-283_824_000_000, "-7025-12-23T00:00:00Z"),
            (i64::MIN, "+292277026596-12-04T15:30:08Z"),
            (951_827_696, "2000-02-29T12:34:56Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
            (253_402_300_800, "+10000-01-01T00:00:00Z"),
            (-62_167_219_200, "0000-01-01T00:00:00Z"),
            (-62_167_219_201, "-0001-12-31T23:59:59Z"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(utc_time(seconds), expected, "{seconds}");
        }
    }

    #[test]
    fn days_follow_each_other() {
        let mut last = civil_date(-800_001);
        for day in -800_000..800_000 {
            let (year, month, date) = civil_date(day);
            let next_day = (year, month, date) == (last.0, last.1, last.2 + 1);
            let next_month = (year, month, date) == (last.0, last.1 + 1, 1) && last.2 >= 28;
            let next_year = (year, month, date) == (last.0 + 1, 1, 1) && (last.1, last.2) == (12, 31);
            assert!(next_day || next_month || next_year, "{day}");
            last = (year, month, date);
        }
    }

    #[test]
    fn predicates_nest() {
        let words = |list: &[u32]| list.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
        assert_eq!(json(&words(&[0])), r#"{"unconditional": true}"#);
        assert_eq!(
            json(&words(&[1, 2, 2, 2, 5, 0, 12, 4, 0, 1_598_440_539, 3, 1, 0])),
            concat!(
                r#"{"and": [{"or": [{"rel_before": "12"}, "#,
                r#"{"abs_before": "2020-08-26T11:15:39Z", "abs_before_epoch": "1598440539"}]}, "#,
                r#"{"not": {"unconditional": true}}]}"#
            )
        );
        assert_eq!(json(&words(&[3, 0])), r#"{"not": null}"#);
    }

    #[test]
    fn any_predicate_is_in_sep_51_what_the_generated_writer_makes() {
        let numbers = [0, 1, -1, 9, 10, -10, 1_600_000_000, i64::MAX, i64::MIN];
        let mut some: Vec<Vec<u8>> = vec![
            vec![0, 0, 0, 0],
            vec![0, 0, 0, 3, 0, 0, 0, 0],
            vec![0, 0, 0, 1, 0, 0, 0, 0],
        ];
        for kind in [4u32, 5] {
            some.extend(numbers.map(|number| [&kind.to_be_bytes()[..], &number.to_be_bytes()].concat()));
        }
        for round in 0..60 {
            let (first, second) = (some[round].clone(), some[round * 7 % some.len()].clone());
            some.push(match round % 3 {
                0 => [&[0, 0, 0, 3, 0, 0, 0, 1][..], &first].concat(),
                kind => [&[0, 0, 0, kind as u8, 0, 0, 0, 2][..], &first, &second].concat(),
            });
        }
        for predicate in some {
            json(&predicate);
        }
    }

    #[test]
    fn an_unknown_predicate_is_refused() {
        assert!(write(&mut Reader::new(&[0, 0, 0, 9]), &mut Vec::new(), &mut Vec::new()).is_err());
    }
}
