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
