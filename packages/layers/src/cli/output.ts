import { SingleBar } from 'cli-progress';
import Table from 'cli-table3';
import pc from 'picocolors';

/** Prints JSON alone on stdout. */
export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}

/** Prints a table on stdout. */
export function printTable(head: readonly string[], rows: readonly (readonly string[])[]): void {
  const table = new Table({
    head: head.map((text) => pc.bold(text)),
    style: { head: [], border: [], compact: true },
    chars: {
      top: '',
      'top-mid': '',
      'top-left': '',
      'top-right': '',
      bottom: '',
      'bottom-mid': '',
      'bottom-left': '',
      'bottom-right': '',
      left: '',
      'left-mid': '',
      mid: '',
      'mid-mid': '',
      right: '',
      'right-mid': '',
      middle: '  ',
    },
  });
  for (const row of rows) table.push([...row]);
  process.stdout.write(`${table.toString()}\n`);
}

/** A progress bar on stderr; silent unless that is a terminal. */
export class Progress {
  readonly #bar: SingleBar;
  #started = false;

  constructor(label: string) {
    this.#bar = new SingleBar({
      format: `${label} {bar} {value}/{total} {detail}`,
      hideCursor: true,
      clearOnComplete: true,
      stream: process.stderr,
    });
  }

  update(done: number, total: number, detail = ''): void {
    if (!process.stderr.isTTY) return;
    if (!this.#started) this.#bar.start(total, 0, { detail });
    this.#started = true;
    this.#bar.setTotal(total);
    this.#bar.update(done, { detail });
  }

  stop(): void {
    if (this.#started) this.#bar.stop();
  }
}

/** `1.23 MB`, in powers of ten as disks count. */
export function bytesText(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toPrecision(3)} ${units[unit]}`;
}

/** A signal that Ctrl-C aborts; a second Ctrl-C ends the process at once. */
export function interruptSignal(): AbortSignal {
  const controller = new AbortController();
  process.once('SIGINT', () => controller.abort());
  return controller.signal;
}
