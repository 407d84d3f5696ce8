// Amounts and prices without floating point: stroops and fractions as BigInt.

const STROOPS = 10_000_000n;
const MOST = 2n ** 63n - 1n;

/** Reads "12.5" into stroops; null if it is no amount from 0 to 2^63 - 1 stroops with at most seven decimals. */
export function stroops(text) {
  const found = /^(\d{1,24})(?:\.(\d{1,7}))?$/.exec(text.trim());
  if (found === null) return null;
  return BigInt(found[1]) * STROOPS + BigInt((found[2] ?? "").padEnd(7, "0"));
}

export const fitsInt64 = (amount) => amount <= MOST;

/** Writes stroops as people do: thousands apart, no zeros at the end. */
export function units(amount) {
  const whole = (amount / STROOPS).toString().replace(/\B(?=(\d{3})+$)/g, "\u202f");
  const rest = (amount % STROOPS).toString().padStart(7, "0").replace(/0+$/, "");
  return rest ? `${whole}.${rest}` : whole;
}

/** A shorter form where there is little room; the exact one belongs into a title. */
export function shortUnits(amount) {
  if (amount >= 1_000_000_000n * STROOPS) {
    return new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 2 }).format(Number(amount) / 1e7);
  }
  const whole = amount / STROOPS;
  const decimals = whole >= 100_000n ? 0 : whole >= 1000n ? 2 : whole >= 1n ? 4 : 7;
  const step = 10n ** BigInt(7 - decimals);
  return units(((amount + step / 2n) / step) * step);
}

/** Seven decimals of n/d, halves up, zeros at the end left out. */
export function price(n, d) {
  const [top, bottom] = [BigInt(n), BigInt(d)];
  const scaled = (2n * top * STROOPS + bottom) / (2n * bottom);
  if (scaled === 0n && top > 0n) return (Number(n) / Number(d)).toPrecision(3);
  return units(scaled);
}

/** A price where there is little room: as many decimals as tell it from its neighbours. */
export function shortPrice(n, d) {
  const decimals = n / d >= 10_000 ? 2 : n / d >= 100 ? 4 : 7;
  const step = 10n ** BigInt(7 - decimals);
  const [top, bottom] = [BigInt(n) * STROOPS, BigInt(d) * step];
  return step === 1n ? price(n, d) : units(((2n * top + bottom) / (2n * bottom)) * step);
}

export const asNumber = (amount) => Number(amount) / 1e7;

/** Difference of two fractions, exact. */
export function difference(first, second) {
  const n = BigInt(first.n) * BigInt(second.d) - BigInt(second.n) * BigInt(first.d);
  return { n, d: BigInt(first.d) * BigInt(second.d) };
}
