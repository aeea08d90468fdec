import type { Spread } from '../statistics.js';

/** Three significant digits in the unit that fits: `1.23 ms`. */
export function formatSeconds(seconds: number): string {
  const [scale, unit] = seconds < 1e-3 ? [1e6, 'us'] : seconds < 1 ? [1e3, 'ms'] : [1, 's'];
  return `${(seconds * scale).toPrecision(3)} ${unit}`;
}

/** Half of the range from the 10th to the 90th percentile, relative to the median: `+-3 %`. */
export function formatSpread({ median, p10, p90 }: Spread): string {
  return `±${((50 * (p90 - p10)) / median).toFixed(0)} %`;
}

/** `+0.0421`, `-0.0003` */
export function formatSigned(value: number, digits: number): string {
  // Adding 0 turns -0, as which small negative numbers come back, into 0.
  const rounded = Number(value.toFixed(digits)) + 0;
  return `${rounded < 0 ? '-' : '+'}${Math.abs(rounded).toFixed(digits)}`;
}

/** `9.05e-3` */
export function formatScientific(value: number): string {
  return value.toExponential(2);
}

export function formatMegabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(2);
}
