import { QutlassError } from '@qutlass/core-kernels';
import fc from 'fast-check';
import { describe, it } from 'vitest';
import { SAFETENSORS_DTYPES } from './safetensors-dtype.js';
import { fileBytes, parseFile } from './test-support.js';

/**
 * The contract on any bytes: a QutlassError with the checkpoint's code, or tensors whose sizes follow from dtype and
 * shape, which lie in the file and cover its data exactly. Sizes are computed again here with exact integers.
 */
function checkContract(bytes: Uint8Array): boolean {
  let tensors: ReturnType<typeof parseFile>['tensors'];
  try {
    tensors = parseFile(bytes).tensors;
  } catch (error) {
    if (error instanceof QutlassError && error.code === 'QUTLASS_E_CHECKPOINT') return false;
    throw error;
  }
  const headerLength = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
  const dataLength = BigInt(bytes.length) - 8n - headerLength;
  let end = 0n;
  for (const { name, dtype, shape, begin, byteLength } of tensors.values()) {
    const bits = shape.reduce(
      (product, extent) => product * BigInt(extent),
      BigInt(SAFETENSORS_DTYPES[dtype]),
    );
    if (BigInt(byteLength) * 8n !== bits || BigInt(begin) !== end) throw new Error(`wrong extent of ${name}`);
    end += BigInt(byteLength);
  }
  if (end !== dataLength) throw new Error(`tensors cover ${end} of ${dataLength} bytes`);
  return true;
}

const dtype = fc.constantFrom('U8', 'F16', 'F32', 'F4', 'F6_E2M3', 'BOOL', 'I64', 'f32', '__proto__', '');
const extent = fc.oneof(
  { weight: 8, arbitrary: fc.nat(4) },
  { weight: 1, arbitrary: fc.constantFrom(-1, 1.5, 2 ** 32, 2 ** 53, '1', null, 1e300) },
);
const name = fc.oneof(fc.constantFrom('a', 'b', '__proto__', '__metadata__', 'constructor'), fc.string());
const keys = fc.constantFrom('dtype', 'shape', 'data_offsets', 'shapes', '__proto__');

/** An entry that is right at `begin`, now and then with one thing changed. */
const entry = fc.record({
  dtype: fc.constantFrom('U8', 'F16', 'F32', 'F4'),
  shape: fc.array(fc.nat(4), { maxLength: 3 }),
  fault: fc.option(
    fc.oneof(
      fc.record({ dtype }),
      fc.record({ shape: fc.oneof(fc.array(extent, { maxLength: 4 }), fc.jsonValue()) }),
      fc.record({ data_offsets: fc.oneof(fc.array(extent, { maxLength: 3 }), fc.jsonValue()) }),
      fc.dictionary(keys, fc.jsonValue()),
    ),
    { freq: 8 },
  ),
  shift: fc.oneof(
    { weight: 12, arbitrary: fc.constant(0) },
    { weight: 1, arbitrary: fc.integer({ min: -3, max: 3 }) },
  ),
});

const header = fc
  .record({
    tensors: fc.array(fc.tuple(name, entry), { maxLength: 5 }),
    metadata: fc.option(fc.oneof(fc.dictionary(fc.string(), fc.string()), fc.jsonValue()), { freq: 2 }),
    surplus: fc.oneof({ weight: 10, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(9) }),
  })
  .map(({ tensors, metadata, surplus }) => {
    let end = 0;
    const members = tensors.map(([name, { dtype, shape, fault, shift }]) => {
      const bits = SAFETENSORS_DTYPES[dtype as keyof typeof SAFETENSORS_DTYPES];
      const begin = end + shift;
      end = begin + Math.floor((shape.reduce((a, b) => a * b, 1) * bits) / 8);
      return `${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [begin, end], ...fault })}`;
    });
    if (metadata !== null) members.push(`"__metadata__":${JSON.stringify(metadata)}`);
    return fileBytes(`{${members.join(',')}}`, Math.max(end + surplus, 0));
  });

const base = fileBytes(
  '{"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},' +
    '"a":{"dtype":"F4","shape":[2,3],"data_offsets":[16,19]},"z":{"dtype":"I8","shape":[0],"data_offsets":[19,19]}}',
  19,
);

/** Byte changes that keep much of a file intact, so that they reach the later checks. */
const mutation = fc.oneof(
  fc.record({ kind: fc.constant('set' as const), at: fc.nat(), byte: fc.nat(255) }),
  fc.record({
    kind: fc.constant('set' as const),
    at: fc.nat(),
    byte: fc.constantFrom(...Buffer.from('0123456789{}[]",:-.eU8F')),
  }),
  fc.record({ kind: fc.constant('truncate' as const), at: fc.nat() }),
  fc.record({ kind: fc.constant('remove' as const), at: fc.nat() }),
  fc.record({ kind: fc.constant('repeat' as const), at: fc.nat() }),
);

function mutate(bytes: Buffer, { kind, at, ...rest }: { kind: string; at: number; byte?: number }): Buffer {
  if (bytes.length === 0) return bytes;
  const index = at % bytes.length;
  const [head, tail] = [bytes.subarray(0, index), bytes.subarray(index)];
  switch (kind) {
    case 'truncate':
      return Buffer.from(head);
    case 'remove':
      return Buffer.concat([head, tail.subarray(1)]);
    case 'repeat':
      return Buffer.concat([head, tail.subarray(0, 8), tail]);
    default: {
      const changed = Buffer.from(bytes);
      changed[index] = rest.byte ?? 0;
      return changed;
    }
  }
}

describe('on hostile bytes the parser gives consistent tensors or the checkpoint error', () => {
  it('random bytes', () => {
    const framed = fc.uint8Array({ maxLength: 200 }).map((json) => fileBytes(json));
    const braced = fc.string({ unit: 'binary' }).map((text) => fileBytes(`{${text}}`));
    fc.assert(
      fc.property(
        fc.oneof(fc.uint8Array({ maxLength: 200 }), framed, braced),
        (bytes) => void checkContract(bytes),
      ),
      { numRuns: 5000 },
    );
  });

  it('a valid file with changed, missing or repeated bytes', () => {
    fc.assert(
      fc.property(fc.array(mutation, { minLength: 1, maxLength: 3 }), (mutations) => {
        checkContract(mutations.reduce(mutate, base));
      }),
      { numRuns: 5000 },
    );
  });

  it('every truncation of a valid file, and every bit flipped', () => {
    if (!checkContract(base)) throw new Error('expected the file itself to be valid');
    for (let length = 0; length < base.length; length += 1) {
      if (checkContract(base.subarray(0, length))) throw new Error(`accepted the first ${length} bytes`);
    }
    for (let bit = 0; bit < 8 * base.length; bit += 1) {
      const flipped = Buffer.from(base);
      flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7));
      checkContract(flipped);
    }
  });

  it('structured headers', () => {
    let accepted = 0;
    const runs = 5000;
    fc.assert(
      fc.property(header, (bytes) => {
        if (checkContract(bytes)) accepted += 1;
      }),
      { numRuns: runs },
    );
    // The generator has to reach both outcomes for the test to mean something.
    if (accepted < runs / 20 || accepted > runs * 0.95) throw new Error(`accepted ${accepted} of ${runs}`);
  });
});
