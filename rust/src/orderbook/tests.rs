use super::exchange::{from_offer, pool_asks, pool_gives};
use super::graph::{Graph, Offer, Refusal};
use super::search::{End, Query, all_paths, best_paths};
use super::walk::{Direction, Walk, cost, proceeds};

const MAX: i64 = i64::MAX;

fn offer(id: i64, n: i32, d: i32, amount: i64) -> Offer {
    Offer {
        id,
        seller: 0,
        n,
        d,
        amount,
    }
}

/// Amount of the offer, wanted, price; paid and sold.
#[test]
fn an_offer_sells_as_core_rounds() {
    for (amount, wanted, n, d, paid, sold) in [
        (7, 2, 3, 7, 1, 2),
        (MAX, 2, 3, 7, 1, 2),
        (20, 20, 1, 4, 5, 20),
        (20, 100, 1, 4, 5, 20),
        (20, 20, 7, 11, 13, 19),
        (20, 20, 11, 7, 32, 20),
        (20, 100, 7, 11, 13, 19),
        (20, 100, 11, 7, 32, 20),
        (1, 0, 3, 7, 0, 0),
        (1, 0, 7, 3, 0, 0),
        (MAX, 0, 3, 7, 0, 0),
    ] {
        assert_eq!(
            from_offer(amount, wanted, n, d),
            Some((paid, sold)),
            "{amount} {wanted} {n}/{d}"
        );
    }
}

#[test]
fn an_overflow_is_none_and_not_a_wrong_number() {
    assert_eq!(from_offer(MAX, MAX, 3, 2), None);
    assert_eq!(
        cost(&[offer(1, 1, 1, MAX), offer(2, 1, 1, MAX)], None, MAX, MAX),
        Walk::Done(MAX)
    );
    assert_eq!(cost(&[offer(1, 2, 1, MAX)], None, MAX, MAX), Walk::Overflow);
}

#[test]
fn own_offers_are_left_out() {
    let mut other = offer(5, 2, 1, 500);
    other.seller = 7;
    assert_eq!(cost(&[offer(4, 1, 1, 500), other], Some(0), 100, MAX), Walk::Done(200));
    assert_eq!(cost(&[offer(4, 1, 1, 500)], Some(0), 1, MAX), Walk::TooThin);
    assert_eq!(proceeds(&[offer(4, 1, 1, 500), other], Some(0), 100), Walk::Done(50));
}

#[test]
fn a_pool_never_loses_by_rounding() {
    for (reserve_in, reserve_out) in [(10, 1_000_000), (1_000_000, 10), (MAX / 2, MAX / 2), (MAX - 5, 3)] {
        for given in [1, 2, 7, 999] {
            let Some(asked) = pool_asks(given, reserve_in, reserve_out, 30) else {
                continue;
            };
            let (before, after) = (
                i128::from(reserve_in) * i128::from(reserve_out),
                i128::from(reserve_in + asked) * i128::from(reserve_out - given),
            );
            assert!(after >= before, "{given} of {reserve_in}/{reserve_out}");
            assert!(pool_gives(asked, reserve_in, reserve_out, 30) >= Some(given));
            assert!(asked == 1 || pool_gives(asked - 1, reserve_in, reserve_out, 30) < Some(given));
        }
    }
    assert_eq!(pool_asks(10, 5, 10, 30), None);
    assert_eq!(pool_gives(MAX, 1, 10, 30), None);
}

#[test]
fn an_offer_that_cannot_be_traded_leaves_the_graph_as_it_was() {
    let mut graph = Graph::default();
    let (native, usd) = (graph.assets.number("native"), graph.assets.number("usd"));
    graph.put_offer(offer(1, 1, 2, 5), native, usd).unwrap();
    for bad in [
        offer(1, 0, 1, 5),
        offer(1, 1, 0, 5),
        offer(1, 1, 1, 0),
        offer(1, -1, 1, 5),
    ] {
        assert_eq!(graph.put_offer(bad, native, usd), Err(Refusal::Offer(1)));
    }
    assert_eq!(graph.find_pair(native, usd).unwrap().offers, [offer(1, 1, 2, 5)]);
    assert!(graph.remove_offer(1) && !graph.remove_offer(1));
    assert!(graph.selling(native).is_empty() && graph.buying(usd).is_empty());
}

#[test]
fn both_searches_agree_on_the_best_path() {
    let mut graph = Graph::default();
    let numbers: Vec<u32> = (0..6).map(|number| graph.assets.number(&format!("{number}"))).collect();
    let mut id = 0;
    for &selling in &numbers {
        for &buying in &numbers {
            if selling != buying {
                id += 1;
                let price = i32::try_from(1 + (id * 7919) % 23).unwrap();
                graph
                    .put_offer(offer(id, price, 11, 1_000_000), selling, buying)
                    .unwrap();
            }
        }
    }
    graph.settle();
    for direction in [Direction::Receive, Direction::Send] {
        let query = Query {
            direction,
            start: 0,
            amount: 100_000,
            ends: vec![End { asset: 5, limit: None }],
            own: None,
            max_hops: 2,
            pools: true,
            deadline: None,
        };
        let best = |found: Vec<super::search::Found>| {
            let amounts = found.iter().map(|found| found.amount);
            match direction {
                Direction::Receive => amounts.min(),
                Direction::Send => amounts.max(),
            }
        };
        let all = all_paths(&graph, &query).unwrap();
        assert_eq!(all.len(), 5);
        assert_eq!(best(best_paths(&graph, &query).unwrap()), best(all));
    }
}

mod pairs {
    use crate::orderbook::byte_form::{Broken, Reader, Writer};
    use crate::orderbook::pair_book::{Contradiction, Entry, PairBook, PairChange, Pool};
    use crate::orderbook::pair_levels::PairLevels;
    use crate::orderbook::pair_split::{asset_order, base64_bytes};

    fn entry(id: i64, n: i32, d: i32, amount: i64) -> Entry {
        Entry { id, n, d, amount }
    }

    fn book(asks: &[Entry], bids: &[Entry]) -> PairBook {
        PairBook {
            sides: [asks.to_vec(), bids.to_vec()],
            pool: None,
        }
    }

    fn bytes(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
        let mut writer = Writer::default();
        write(&mut writer);
        writer.done()
    }

    #[test]
    fn base64_stands_in_the_order_of_its_bytes() {
        let texts = ["AAAAAA==", "AAAAAUEA", "AAAAAVVT", "AAAAAg==", "AAAA/w==", "//8="];
        let decoded: Vec<_> = texts.iter().map(|text| base64_bytes(text).unwrap()).collect();
        assert_eq!(decoded[1], [0, 0, 0, 1, 0x41, 0]);
        assert!(decoded.is_sorted());
        assert!(texts.is_sorted_by(|left, right| asset_order(left, right).is_lt()));
        assert_eq!(base64_bytes("A*=="), None);
    }

    #[test]
    fn a_change_is_applied_as_a_whole_or_not_at_all() {
        let before = book(&[entry(1, 1, 2, 5), entry(2, 2, 4, 5), entry(3, 3, 1, 5)], &[]);
        let mut moved = before.clone();
        let change = PairChange {
            before: book(&[entry(2, 2, 4, 5)], &[]),
            after: book(&[entry(4, 1, 1, 9)], &[entry(2, 5, 1, 5)]),
        };
        moved.apply(&change, false).unwrap();
        assert_eq!(moved.sides[0].iter().map(|each| each.id).collect::<Vec<_>>(), [1, 4, 3]);
        assert_eq!(moved.sides[1], [entry(2, 5, 1, 5)]);
        assert_eq!(moved.apply(&change, false), Err(Contradiction::NotThere(2)));
        moved.apply(&change, true).unwrap();
        assert_eq!(moved, before);
        let twice = PairChange {
            before: PairBook::default(),
            after: book(&[entry(1, 1, 2, 7)], &[]),
        };
        assert_eq!(moved.apply(&twice, false), Err(Contradiction::Twice(1)));
        assert_eq!(moved, before);
    }

    #[test]
    fn levels_add_equal_prices_up_and_turn_bids_over() {
        let levels = PairLevels::of(
            &book(
                &[entry(1, 1, 2, i64::MAX), entry(2, 2, 4, i64::MAX)],
                &[entry(3, 3, 1, 5), entry(4, 4, 1, 6)],
            ),
            1,
        );
        let (ask, bid) = (levels.asks.levels[0], levels.bids.levels[0]);
        assert_eq!(
            (ask.n, ask.d, ask.amount, ask.offers),
            (1, 2, 2 * i128::from(i64::MAX), 2)
        );
        assert_eq!((bid.n, bid.d, bid.amount, bid.offers), (1, 3, 5, 1));
        assert_eq!(
            (levels.bids.offers, levels.bids.amount, levels.bids.levels.len()),
            (2, 11, 1)
        );
        assert_eq!(levels.spread(), Some((1, 6)));
    }

    #[test]
    fn bytes_are_read_back_and_nothing_else_is() {
        let mut whole = book(&[entry(1, 1, 2, 5)], &[entry(2, 7, 3, i64::MAX)]);
        whole.pool = Some(Pool {
            id: [7; 32],
            base: 1,
            counter: 2,
            fee: 30,
        });
        let written = bytes(|to| whole.write(to));
        assert_eq!(PairBook::read(&mut Reader::new(&written)), Ok(whole.clone()));
        for end in 0..written.len() {
            assert_eq!(PairBook::read(&mut Reader::new(&written[..end])), Err(Broken));
        }
        let levels = PairLevels::of(&whole, 5);
        let written = bytes(|to| levels.write(to));
        assert_eq!(PairLevels::read(&mut Reader::new(&written)), Ok(levels));
    }
}
