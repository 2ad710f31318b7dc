// Formats numbers, durations and quotas.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });

/** The text for a value that is missing. */
export const NONE = "–";

export function count(number) {
  return typeof number === "number" ? whole.format(number) : NONE;
}

/** Formats a number of events per second. A small rate has one decimal, and a rate that is not zero never looks like it. */
export function rate(perSecond) {
  if (typeof perSecond !== "number") return NONE;
  if (perSecond > 0 && perSecond < 0.05) return "<0.1";
  return perSecond < 99.95 ? tenths.format(perSecond) : whole.format(perSecond);
}

/** Formats the duration of a call, from microseconds to seconds. */
export function latency(seconds) {
  if (typeof seconds !== "number") return NONE;
  if (seconds < 0.001) return `${whole.format(seconds * 1e6)} µs`;
  return seconds < 1 ? `${tenths.format(seconds * 1e3)} ms` : `${tenths.format(seconds)} s`;
}

const UNITS = [["d", 86_400], ["h", 3_600], ["min", 60], ["s", 1]];

/** Formats a duration with at most two units, such as `1 h 5 min`. */
export function duration(seconds) {
  if (typeof seconds !== "number") return NONE;
  if (seconds < 1) return seconds > 0 ? `${tenths.format(Math.max(seconds, 0.1))} s` : "0 s";
  let left = Math.round(seconds);
  const parts = [];
  for (const [unit, size] of UNITS) {
    const number = Math.floor(left / size);
    left -= number * size;
    if (number > 0) parts.push(`${number} ${unit}`);
  }
  return parts.slice(0, 2).join(" ");
}

/** Formats the quotas of a policy in the notation of the attribute. */
export function quotasText(quotas) {
  return quotas?.length ? quotas.map((quota) => quota.text).join("; ") : NONE;
}

export function plural(number, noun) {
  return `${count(number)} ${number === 1 ? noun : `${noun}s`}`;
}
