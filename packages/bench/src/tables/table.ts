/** What a cell says beyond its text. */
export type Tone = 'good' | 'bad' | 'muted';

export interface Cell {
  readonly text: string;
  readonly tone?: Tone;
}

export interface Column {
  readonly title: string;
  /** Default: left. */
  readonly align?: 'left' | 'right';
}

/** A table before it is laid out for a terminal or a page. */
export interface Table {
  readonly title: string;
  readonly columns: readonly Column[];
  readonly rows: readonly (readonly Cell[])[];
  /** What the reader has to know to read it rightly. */
  readonly note?: string;
}

/** A column of a table that is made from objects. */
export interface ColumnOf<T> extends Column {
  value(item: T): string | Cell;
}

export function tableOf<T>(
  title: string,
  items: readonly T[],
  columns: readonly ColumnOf<T>[],
  note?: string,
): Table {
  const toCell = (value: string | Cell): Cell => (typeof value === 'string' ? { text: value } : value);
  return {
    title,
    columns: columns.map(({ title, align }) => ({ title, ...(align && { align }) })),
    rows: items.map((item) => columns.map(({ value }) => toCell(value(item)))),
    ...(note !== undefined && { note }),
  };
}
