// As much of the wire format of protocol buffers as it takes to write a model: varints, floats and nested messages.

/** A field of a message: an integer, a text, bytes or a message, or several of one kind. */
export type Field = number | string | Uint8Array | readonly Field[];

/** A message of fields by their numbers; undefined ones are left out. */
export function message(fields: Readonly<Record<number, Field | undefined>>): Uint8Array {
  const parts = Object.entries(fields).flatMap(([number, field]) =>
    field === undefined ? [] : encodeField(Number(number), field),
  );
  return Buffer.concat(parts);
}

function encodeField(number: number, field: Field): Uint8Array[] {
  if (Array.isArray(field)) return field.flatMap((item: Field) => encodeField(number, item));
  if (typeof field === 'number') return [varint(number * 8), varint(field)];
  const bytes = typeof field === 'string' ? Buffer.from(field) : (field as Uint8Array);
  return [varint(number * 8 + 2), varint(bytes.length), bytes];
}

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  bytes.push(rest);
  return Uint8Array.from(bytes);
}
