//! Tests of the cursor.

use super::*;

fn fault<T: std::fmt::Debug>(result: X<T>) -> (XdrFault, usize) {
    let reject = result.unwrap_err();
    (reject.fault, reject.pos)
}

#[test]
fn numbers_are_big_endian_and_bounded() {
    let mut c = Cur::new(&[0xff, 0xff, 0xff, 0xfe, 0, 0, 0, 0, 0, 0, 0, 7, 1]);
    assert_eq!(c.i32(), Ok(-2));
    assert_eq!(c.u64(), Ok(7));
    assert_eq!(fault(c.u32()), (XdrFault::Truncated, 12));
    assert_eq!(fault(c.end("all")), (XdrFault::Trailing, 12));
}

#[test]
fn bools_are_zero_or_one() {
    assert_eq!(Cur::new(&[0, 0, 0, 1]).bool_(), Ok(true));
    assert_eq!(fault(Cur::new(&[0, 0, 0, 2]).bool_()), (XdrFault::BadBool, 0));
    assert_eq!(fault(Cur::new(&[1, 0, 0, 0]).optional()), (XdrFault::BadBool, 0));
}

#[test]
fn opaques_end_on_a_multiple_of_four_with_zeros() {
    assert_eq!(Cur::new(b"\0\0\0\x01a\0\0\0").var(1), Ok(&b"a"[..]));
    assert_eq!(Cur::new(b"\0\0\0\0").var(0), Ok(&b""[..]));
    assert_eq!(
        fault(Cur::new(b"\0\0\0\x01a\0\0\x01").var(1)),
        (XdrFault::BadPadding, 5)
    );
    assert_eq!(fault(Cur::new(b"\0\0\0\x02ab\0\0").var(1)), (XdrFault::TooLong, 0));
    assert_eq!(fault(Cur::new(b"\0\0\0\x02ab\0").var(9)), (XdrFault::Truncated, 4));
    assert_eq!(
        fault(Cur::new(b"\xff\xff\xff\xff").var(u32::MAX)),
        (XdrFault::Truncated, 4)
    );
    assert_eq!(Cur::new(b"abc\0").fixed(3), Ok(&b"abc"[..]));
    assert_eq!(fault(Cur::new(b"abcd").fixed(3)), (XdrFault::BadPadding, 3));
}

#[test]
fn array_lengths_are_measured_against_the_bytes_left() {
    assert_eq!(Cur::new(&[0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0]).length(9, 4, "a"), Ok(2));
    assert_eq!(
        fault(Cur::new(&[0, 0, 0, 3, 0, 0, 0, 0]).length(9, 4, "a")),
        (XdrFault::Truncated, 0)
    );
    assert_eq!(
        fault(Cur::new(&[0xff; 4]).length(u32::MAX, 4, "a")),
        (XdrFault::Truncated, 0)
    );
    assert_eq!(fault(Cur::new(&[0, 0, 0, 1]).length(0, 4, "a")), (XdrFault::TooLong, 0));
}

#[test]
fn depth_is_a_plain_counter_with_a_cap() {
    let mut c = Cur::with_depth(&[], 1);
    assert_eq!(c.enter("a"), Ok(()));
    assert_eq!(fault(c.enter("a")), (XdrFault::TooDeep, 0));
    c.leave();
    assert_eq!(c.enter("a"), Ok(()));
    assert_eq!(Cur::with_depth(&[], u32::MAX).depth, MAX_DEPTH);
}

#[test]
fn a_tolerant_cursor_passes_over_values_whose_end_is_clear() {
    let mut c = Cur::new(b"\0\0\0\x02ab\0\x01\0\0\0\x05\0\0\0\x09\xff\xff\xff\xff").tolerant(true);
    assert_eq!(c.bytes(1, "text"), Ok(&b"ab"[..]));
    let noted = c.take_noted().unwrap();
    assert_eq!((noted.fault, noted.pos), (XdrFault::TooLong, 0));
    assert_eq!(
        (c.take_noted(), c.notes()),
        (None, 2),
        "the length, and the padding behind it"
    );
    assert_eq!(c.flag("flag"), Ok(true));
    let kind = c.word("kind").unwrap();
    assert_eq!(c.member(kind < 9, "kind"), Ok(()));
    assert_eq!(fault(c.nothing_noted()), (XdrFault::BadBool, 8));
    assert_eq!(c.nothing_noted(), Ok(()));
    assert_eq!(fault(c.bytes(9, "cut off")), (XdrFault::Truncated, 20));
}

#[test]
fn a_rejection_says_what_where_and_why() {
    let reject = Cur::new(&[0, 0]).word("AccountEntry.flags").unwrap_err();
    assert_eq!(reject.to_string(), "AccountEntry.flags at byte 0: truncated");
}
