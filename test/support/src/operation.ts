import { bf16Bits, bf16Value } from './bf16.js';
import { onCpu } from './device.js';
import { f16Bits, f16Value } from './half.js';

// Runs an operation as a stranger might: operands anywhere in memory, results on memory that holds something else, on
// another stream, from a graph. All must agree bit for bit, write all of the result and nothing beside it, and agree with
// the CPU, which defines the operations.

/** QUTLASS_TEST_SHAPES=small: few and small cases, for tools that make every access slow. */
const SMALL = process.env.QUTLASS_TEST_SHAPES === 'small';

/** Elements on both sides of an operand. None where a tool watches the ends of allocations. */
const GUARD = SMALL ? 0 : 64;
const GUARD_BYTE = 0xa5;
/** A result that depends on what its memory held differs between these. */
const POISONS = { first: 0xff, second: 0x5a } as const;

/** The cases; the first `few` of them where QUTLASS_TEST_SHAPES is `small`, or on the CPU, which has nothing to agree with. */
export function selected<T>(cases: readonly T[], few: number): readonly T[] {
  return SMALL || onCpu ? cases.slice(0, few) : cases;
}

/** An operand: an input, a result, or with both `bytes` and `written` a tensor that the operation changes. */
export interface OperandSpec {
  readonly dtype: string;
  readonly shape: readonly number[];
  /** What it holds before; nothing for a result. */
  readonly bytes?: Uint8Array;
  readonly written?: boolean;
  /** Elements off the alignment of a block. */
  readonly offset?: number;
}

export const input = (
  dtype: string,
  shape: readonly number[],
  bytes: Uint8Array,
  offset = 0,
): OperandSpec => ({
  ...{ dtype, shape, bytes, offset },
});
export const output = (dtype: string, shape: readonly number[], offset = 0): OperandSpec => ({
  ...{ dtype, shape, offset, written: true },
});
export const changed = (
  dtype: string,
  shape: readonly number[],
  bytes: Uint8Array,
  offset = 0,
): OperandSpec => ({
  ...{ dtype, shape, bytes, offset, written: true },
});

/** How far a result may be from the CPU's: beyond one unit in the last place of bf16 and f16, `relative |x| + absolute`. */
export interface Tolerance {
  readonly relative: number;
  readonly absolute: number;
}

/** Says what is wrong with a result, or nothing. */
export type Comparison = (expected: Uint8Array, actual: Uint8Array) => string | undefined;

export interface CheckOptions {
  /** By result; default: equal bytes, but any NaN for a NaN. */
  readonly tolerances?: Readonly<Record<string, Tolerance | Comparison>>;
  /** Whether the CPU has the operation, with this result. Default true. */
  readonly againstCpu?: boolean;
}

interface TensorLike {
  rows(begin: number, end: number): TensorLike;
  reshape(shape: readonly number[]): TensorLike;
  write(data: never): void;
  toBytes(): Promise<Uint8Array>;
  dispose(): void;
}

/** What is used of the library, of whichever build the tests import. */
export interface Library {
  readonly Device: { readonly default: object; open(name: 'cpu'): object };
  readonly Stream: new (device: never) => { run<T>(body: () => T): T };
  readonly Graph: { capture(device: never, body: () => void): { launch(): void; dispose(): void } };
  readonly Tensor: {
    fromBytes(
      bytes: Uint8Array,
      options: { shape: readonly number[]; dtype: never; device: never },
    ): TensorLike;
  };
  readonly DTYPES: Readonly<
    Record<string, { readonly bytes: number; readonly array: new (buffer: ArrayBuffer) => ArrayBufferView }>
  >;
}

type Results = Readonly<Record<string, Uint8Array>>;

/**
 * Makes the function that checks operations of a library.
 * @returns `check(operands, operation, options)`: the bytes of the results by name; throws what is wrong
 */
export function operationChecker<T>(library: Library) {
  const second = new WeakMap<object, InstanceType<Library['Stream']>>();

  return async function check<K extends string>(
    operands: Readonly<Record<K, OperandSpec>>,
    operation: (tensors: Readonly<Record<K, T>>) => void,
    { tolerances = {}, againstCpu = true }: CheckOptions = {},
  ): Promise<Results> {
    const device = library.Device.default;
    const results = await runOn(device, POISONS.first);

    let stream = second.get(device);
    if (!stream) {
      stream = new library.Stream(device as never);
      second.set(device, stream);
    }
    requireEqual('on another stream', results, await stream.run(() => runOn(device, POISONS.second)));

    const placed = place(device, POISONS.first);
    const graph = library.Graph.capture(device as never, () => operation(placed.tensors));
    try {
      for (const poison of [POISONS.second, POISONS.first]) {
        placed.refill(poison);
        graph.launch();
        requireEqual('from a graph', results, await placed.results());
      }
    } finally {
      graph.dispose();
      placed.dispose();
    }

    if (againstCpu && !onCpu) {
      const expected = await runOn(library.Device.open('cpu'), POISONS.first);
      for (const [name, actual] of Object.entries(results)) {
        const { dtype } = operands[name as K];
        const tolerance = tolerances[name];
        const problem =
          typeof tolerance === 'function'
            ? tolerance(expected[name]!, actual)
            : difference(dtype, expected[name]!, actual, tolerance);
        if (problem) throw new Error(`${name}: ${problem}`);
      }
    }
    return results;

    // The reads are enqueued before the first is awaited: they go to the stream that is current now.
    function runOn(where: object, poison: number): Promise<Results> {
      const inPlace = place(where, poison);
      try {
        operation(inPlace.tensors);
        return inPlace.results();
      } finally {
        inPlace.dispose();
      }
    }

    function place(where: object, poison: number) {
      const all = (Object.entries(operands) as [K, OperandSpec][]).map(([name, spec]) => {
        const { bytes: width, array } = library.DTYPES[spec.dtype]!;
        const size = spec.shape.reduce((x, y) => x * y, 1);
        const [before, total] = [GUARD + (spec.offset ?? 0), size + 2 * GUARD + (spec.offset ?? 0)];
        const image = (fill: number) => {
          const whole = new Uint8Array(total * width).fill(GUARD_BYTE);
          if (spec.bytes) whole.set(spec.bytes, before * width);
          else whole.fill(fill, before * width, (before + size) * width);
          return whole;
        };
        if (spec.bytes && spec.bytes.length !== size * width)
          throw new Error(`${name}: bytes of another size`);
        const base = library.Tensor.fromBytes(image(poison), {
          shape: [total],
          dtype: spec.dtype as never,
          device: where as never,
        });
        const part = base.rows(before, before + size);
        const view = part.reshape(spec.shape);
        part.dispose();
        const begin = before * width;
        return { name, spec, base, view, image, array, begin, end: begin + size * width };
      });
      return {
        tensors: Object.fromEntries(all.map(({ name, view }) => [name, view])) as unknown as Record<K, T>,
        refill: (fill: number) => {
          for (const { base, image, array } of all) base.write(new array(image(fill).buffer) as never);
        },
        results: async (): Promise<Results> => {
          const read = await Promise.all(all.map(({ base }) => base.toBytes()));
          return Object.fromEntries(
            all.flatMap(({ name, spec, begin, end }, i) => {
              const whole = read[i]!;
              const outside = whole.findIndex((byte, at) => (at < begin || at >= end) && byte !== GUARD_BYTE);
              if (outside >= 0)
                throw new Error(`${name}: byte ${outside - begin} of ${end - begin} was written`);
              const bytes = whole.slice(begin, end);
              if (spec.written) return [[name, bytes] as const];
              if (!sameBytes(bytes, spec.bytes!)) throw new Error(`${name}: an input was changed`);
              return [];
            }),
          );
        },
        dispose: () => {
          for (const { base, view } of all) {
            base.dispose();
            view.dispose();
          }
        },
      };
    }
  };
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

function requireEqual(where: string, expected: Results, actual: Results): void {
  for (const [name, bytes] of Object.entries(expected)) {
    const other = actual[name]!;
    if (sameBytes(bytes, other)) continue;
    const at = bytes.findIndex((byte, i) => byte !== other[i]);
    throw new Error(
      `${name}: other bytes ${where}, the first at ${at}: ${other[at]} instead of ${bytes[at]}`,
    );
  }
}

/** Numbers from the bytes of a tensor. */
export function valuesOf(dtype: string, bytes: Uint8Array): ArrayLike<number> {
  const { buffer } = Uint8Array.from(bytes);
  switch (dtype) {
    case 'f32':
      return new Float32Array(buffer);
    case 'bf16':
      return Float32Array.from(new Uint16Array(buffer), bf16Value);
    case 'f16':
      return Float32Array.from(new Uint16Array(buffer), f16Value);
    case 'i32':
      return new Int32Array(buffer);
    default:
      return bytes;
  }
}

/** The bytes of a tensor with these values, floats rounded to nearest. */
export function bytesOf(dtype: string, values: ArrayLike<number>): Uint8Array {
  const array = (() => {
    switch (dtype) {
      case 'f32':
        return Float32Array.from(values);
      case 'bf16':
        return Uint16Array.from(values, bf16Bits);
      case 'f16':
        return Uint16Array.from(values, f16Bits);
      case 'i32':
        return Int32Array.from(values);
      default:
        return Uint8Array.from(values);
    }
  })();
  return new Uint8Array(array.buffer);
}

/** A unit in the last place, relative, of the dtypes that a result may be rounded to differently. */
const LAST_PLACE: Readonly<Record<string, number>> = { bf16: 2 ** -7, f16: 2 ** -10 };

function difference(
  dtype: string,
  expected: Uint8Array,
  actual: Uint8Array,
  tolerance: Tolerance | undefined,
): string | undefined {
  if (sameBytes(expected, actual)) return undefined;
  const [want, got] = [valuesOf(dtype, expected), valuesOf(dtype, actual)];
  const relative = (tolerance?.relative ?? 0) + (LAST_PLACE[dtype] ?? 0);
  const smallest = dtype === 'f16' ? 2 ** -24 : 0;
  const near = (x: number, y: number) => {
    if (Object.is(x, y)) return true;
    if (!tolerance || Number.isNaN(x) || Number.isNaN(y)) return false;
    // At the edge of the range a number may round to infinity or not.
    if (Math.abs(x) === Infinity || Math.abs(y) === Infinity) {
      const finite = Math.min(Math.abs(x), Math.abs(y));
      return (
        dtype !== 'f32' && Math.sign(x) === Math.sign(y) && finite >= (dtype === 'f16' ? 65504 : 3.3895e38)
      );
    }
    return Math.abs(x - y) <= relative * Math.abs(x) + tolerance.absolute + smallest;
  };
  const wrong = Array.from(want).flatMap((x, i) => (near(x, got[i]!) ? [] : [i]));
  const [first] = wrong;
  if (first === undefined) return undefined;
  return `${wrong.length} of ${want.length} differ from the CPU, the first at ${first}: expected ${want[first]}, got ${got[first]}`;
}
