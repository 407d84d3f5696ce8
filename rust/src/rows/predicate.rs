//! Claim predicates in the form of Horizon's `claimants` column: JSON as PostgreSQL prints a jsonb value.

use super::reader::{Read, Reader};

/// Seconds from the first moment of Go's absolute calendar to 1970; times before it wrap around by 2^64 seconds.
const UNIX_TO_ABSOLUTE: i64 = 9_223_372_028_741_760_000;
const SECONDS_PER_DAY: i128 = 86_400;

/// Reads a `ClaimPredicate` and appends its JSON: keys by length, then bytes, a space behind colons and commas.
pub fn write(r: &mut Reader, out: &mut Vec<u8>) -> Read<()> {
    match r.u32("ClaimPredicate.type")? {
        0 => out.extend_from_slice(b"{\"unconditional\": true}"),
        1 => write_list(r, b"{\"and\": [", out)?,
        2 => write_list(r, b"{\"or\": [", out)?,
        3 => {
            out.extend_from_slice(b"{\"not\": ");
            if r.flag("ClaimPredicate.notPredicate")? {
                write(r, out)?;
            } else {
                out.extend_from_slice(b"null");
            }
            out.push(b'}');
        }
        4 => {
            let seconds = r.i64("ClaimPredicate.absBefore")?;
            let time = utc_time(seconds);
            let text = format!("{{\"abs_before\": \"{time}\", \"abs_before_epoch\": \"{seconds}\"}}");
            out.extend_from_slice(text.as_bytes());
        }
        5 => {
            let seconds = r.i64("ClaimPredicate.relBefore")?;
            out.extend_from_slice(format!("{{\"rel_before\": \"{seconds}\"}}").as_bytes());
        }
        _ => return r.refuse("ClaimPredicate.type"),
    }
    Ok(())
}

fn write_list(r: &mut Reader, open: &[u8], out: &mut Vec<u8>) -> Read<()> {
    out.extend_from_slice(open);
    for position in 0..r.u32("ClaimPredicate")? {
        if position > 0 {
            out.extend_from_slice(b", ");
        }
        write(r, out)?;
    }
    out.extend_from_slice(b"]}");
    Ok(())
}

/// Returns a Unix time as `YYYY-MM-DDThh:mm:ssZ`, years beyond 9999 with a plus, as Horizon shows any int64.
fn utc_time(seconds: i64) -> String {
    let seconds = i128::from(seconds);
    let seconds = if seconds < -i128::from(UNIX_TO_ABSOLUTE) {
        seconds + (1 << 64)
    } else {
        seconds
    };
    let (year, month, day) = civil_date(seconds.div_euclid(SECONDS_PER_DAY) as i64);
    let of_day = seconds.rem_euclid(SECONDS_PER_DAY);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    let (sign, year) = match year {
        ..0 => ("-", -year),
        0..10_000 => ("", year),
        _ => ("+", year),
    };
    format!("{sign}{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
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

    fn json(xdr: &[u8]) -> String {
        let mut out = Vec::new();
        let mut reader = Reader::new(xdr);
        write(&mut reader, &mut out).unwrap();
        reader.end().unwrap();
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
    fn an_unknown_predicate_is_refused() {
        assert!(write(&mut Reader::new(&[0, 0, 0, 9]), &mut Vec::new()).is_err());
    }
}
