// Repeats a task while the page is visible.

/** Milliseconds between two tasks. */
const INTERVAL = 2_000;
/** The longest pause after failures, in milliseconds. */
const MAX_BACKOFF = 30_000;

/**
 * Calls `task` every two seconds, with growing pauses after failures. `task` returns whether it was successful, or throws
 * nothing. The polling stops while the page is hidden, and while the operator has paused it.
 */
export class Poller {
  #task;
  #timer = 0;
  #failures = 0;
  #isRunning = false;
  #mustRepeat = false;
  isPaused = false;

  constructor(task) {
    this.#task = task;
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden && !this.isPaused) this.now();
    });
  }

  pause() {
    this.isPaused = true;
    clearTimeout(this.#timer);
  }

  resume() {
    this.isPaused = false;
    this.now();
  }

  /** Calls the task now, or again after the current call. */
  async now() {
    clearTimeout(this.#timer);
    if (this.#isRunning) {
      this.#mustRepeat = true;
      return;
    }
    this.#isRunning = true;
    const isGood = await this.#task();
    this.#isRunning = false;
    this.#failures = isGood ? 0 : this.#failures + 1;
    if (this.#mustRepeat) {
      this.#mustRepeat = false;
      this.now();
    } else if (!this.isPaused && !document.hidden) {
      this.#timer = setTimeout(() => this.now(), this.#delay());
    }
  }

  /** The random part prevents many open pages from calling a server that returns at the same moment. */
  #delay() {
    if (this.#failures === 0) return INTERVAL;
    const backoff = Math.min(INTERVAL * 2 ** this.#failures, MAX_BACKOFF);
    return backoff * (0.75 + Math.random() / 2);
  }
}
