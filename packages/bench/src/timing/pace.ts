import type { Progress } from '../progress.js';

/** Reports the steps of a measurement whose number is known, with the time that is left at the pace so far. */
export class Pace {
  readonly #progress: Progress | undefined;
  readonly #total: number;
  readonly #begin = performance.now();
  #begun = 0;

  constructor(progress: Progress | undefined, total: number) {
    this.#progress = progress;
    this.#total = total;
  }

  /** The next step begins. */
  step(title: string): void {
    const done = this.#begun++;
    const elapsed = (performance.now() - this.#begin) / 1000;
    const left = done > 0 ? `, about ${Math.ceil((elapsed / done) * (this.#total - done))} s left` : '';
    this.#progress?.step(`${title} (${this.#begun} of ${this.#total}${left})`);
  }
}
