// The counts of the last hour. The server sends all intervals once, and then only the newest ones.

export const SERIES = ["allowed", "denied", "undecided", "would_deny"];

/** Processes report late, so the newest intervals that the page already has may still change. */
const INTERVALS_THAT_CHANGE = 3;

/** The charts have at least this length, in seconds. */
const MIN_SPAN = 600;

export class History {
  #lists = new Map();
  #scope = null;
  #length = 0;
  #current = null;
  /** The charts begin here, so that they are not almost empty in the first hour of a deployment. */
  #start = 0;
  /** The length of an interval in seconds. */
  seconds = 1;

  /** The query for the next request. It is empty if the whole hour is missing. */
  get query() {
    return this.#current === null ? "" : `?after=${this.#current - INTERVALS_THAT_CHANGE}`;
  }

  /**
   * Adds the intervals of a response. Returns `false` if they continue another history than the last one, so that the
   * whole hour is necessary.
   */
  merge(statistics, isWhole) {
    const { scope, interval_seconds: seconds, current_interval: current, first_interval: first, policies } = statistics;
    if (!isWhole && (scope !== this.#scope || seconds !== this.seconds || current < this.#current)) {
      this.clear();
      return false;
    }
    this.#length = Math.round(3_600 / seconds);
    const start = current - this.#length + 1;
    const old = isWhole ? new Map() : this.#lists;
    const oldStart = this.#current === null ? start : this.#current - this.#length + 1;
    this.#lists = new Map(policies.map(({ name, history }) => [name, this.#joined(old.get(name), oldStart, history, first, start)]));
    this.#scope = scope;
    this.seconds = seconds;
    this.#current = current;
    this.#start = Math.max(0, Math.min(this.#firstCheck(), this.#length - 1 - Math.round(MIN_SPAN / seconds)));
    return true;
  }

  #joined(old, oldStart, added, addedStart, start) {
    const joined = {};
    for (const series of SERIES) {
      const list = new Array(this.#length).fill(0);
      const copy = (values, from) => values?.forEach((value, index) => {
        const position = from + index - start;
        if (position >= 0 && position < list.length) list[position] = value;
      });
      copy(old?.[series], oldStart);
      copy(added?.[series], addedStart);
      joined[series] = list;
    }
    return joined;
  }

  /** The position of the first interval with a check. */
  #firstCheck() {
    const positions = [...this.#lists.values()].flatMap((lists) => SERIES.map((series) => lists[series].findIndex((value) => value > 0)));
    return Math.min(this.#length, ...positions.filter((position) => position >= 0));
  }

  /** The length of the lists in seconds. */
  get span() {
    return Math.max(0, this.#length - 1 - this.#start) * this.seconds;
  }

  clear() {
    this.#lists = new Map();
    this.#current = null;
  }

  get names() {
    return [...this.#lists.keys()];
  }

  /** The lists of a policy from the first check of any policy, without the incomplete interval at the end. */
  of(name) {
    const lists = this.#lists.get(name);
    return lists && Object.fromEntries(SERIES.map((series) => [series, lists[series].slice(this.#start, -1)]));
  }

  /** The sums of all policies. */
  total() {
    const sums = Object.fromEntries(SERIES.map((series) => [series, new Array(Math.max(this.#length - 1 - this.#start, 0)).fill(0)]));
    for (const name of this.names) {
      const lists = this.of(name);
      for (const series of SERIES) lists[series].forEach((value, index) => (sums[series][index] += value));
    }
    return sums;
  }
}

export const sum = (list) => list.reduce((total, value) => total + value, 0);
