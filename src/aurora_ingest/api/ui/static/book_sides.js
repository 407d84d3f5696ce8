// Both sides of a book in the same form: price for one unit of the base asset, amounts in the base asset.

import { asNumber, difference, stroops } from "./exact.js";

/**
 * @param book `bids` and `asks` as the service tells them: bids are in the counter asset.
 * @returns levels with `n`, `d`, `amount` and `sum` in stroops of the base asset, and `price` and `depth` to draw.
 */
export function sidesOf(book) {
  return {
    bids: added(book.bids.map(({ price_r: { n, d }, amount }) => ({ n, d, amount: inBase(stroops(amount), n, d) }))),
    asks: added(book.asks.map(({ price_r: { n, d }, amount }) => ({ n, d, amount: stroops(amount) }))),
  };
}

/** The same book seen from the other asset. */
export function swapped(book) {
  const turned = (levels) => levels.map(({ price_r: { n, d }, amount }) => ({ price_r: { n: d, d: n }, amount }));
  const pool = book.pool ? { base: book.pool.counter, counter: book.pool.base } : null;
  return { ...book, bids: turned(book.asks), asks: turned(book.bids), pool };
}

/** Ask less bid, as a fraction, and in percent of the middle; null without both. */
export function spreadOf({ bids, asks }) {
  if (bids.length === 0 || asks.length === 0) return null;
  const fraction = difference(asks[0], bids[0]);
  const middle = (asks[0].price + bids[0].price) / 2;
  return { ...fraction, percent: ((asks[0].price - bids[0].price) / middle) * 100 };
}

const inBase = (amount, n, d) => (amount * BigInt(d)) / BigInt(n);

function added(levels) {
  let sum = 0n;
  return levels.map((level) => {
    sum += level.amount;
    return { ...level, sum, price: level.n / level.d, depth: asNumber(sum) };
  });
}
