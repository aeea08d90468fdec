import type { Html } from './html.js';

/** A figure of a report: plots, and what explains their colors and symbols. */
export interface Figure {
  /** For file names, unique within a suite. */
  readonly id: string;
  readonly title: string;
  readonly caption: string;
  /** SVG elements of one line each. */
  readonly legends: readonly Html[];
  /** SVG elements, side by side where there is room. */
  readonly panels: readonly Html[];
}
