import { createHash } from 'node:crypto';
import { open, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { writeFully } from './file-io.js';
import { SAFETENSORS_DTYPES, type SafetensorsDtype } from './safetensors-dtype.js';
import { SafetensorsFile } from './safetensors-reader.js';
import { type TensorToWrite, writeSafetensors } from './safetensors-writer.js';
import { arbitraryTensors, failure, temporaryDirectory, testdata } from './test-support.js';

async function writeTemporary(tensors: readonly TensorToWrite[], metadata: Record<string, string> = {}) {
  const path = join(await temporaryDirectory(), 'x.safetensors');
  await writeSafetensors(path, tensors, { metadata });
  return path;
}

const u8 = (name: string, ...values: number[]): TensorToWrite => ({
  name,
  dtype: 'U8',
  shape: [values.length],
  data: Uint8Array.from(values),
});

describe('the reference writer (safetensors 0.8.0, Rust) makes the same bytes', () => {
  it.each(['models/tiny-llama/model.safetensors', 'golden/codec.safetensors'])('of %s', async (name) => {
    const source = join(testdata, name);
    await using file = await SafetensorsFile.open(source);
    const tensors = file.names
      .toReversed()
      .map((name) => ({ ...file.info(name), data: () => file.read(name) }));
    const copy = await writeTemporary(tensors, Object.fromEntries(file.metadata));
    expect((await readFile(copy)).equals(await readFile(source))).toBe(true);
  });

  it('of awkward names: escapes, integers, object members, and UTF-8 instead of UTF-16 order', async () => {
    const names = ['\u{1F600}', '\uFF5E', '__proto__', '10', '9', '"\\\n\0\x7f\u2028/'];
    const path = await writeTemporary(
      names.map((name, i) => u8(name, i + 1)),
      { format: 'pt' },
    );
    const bytes = await readFile(path);
    expect(bytes.readBigUInt64LE()).toBe(376n);
    expect(bytes.toString('utf8', 8, 384)).toBe(
      '{"__metadata__":{"format":"pt"},"\\"\\\\\\n\\u0000\x7f\u2028/":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},' +
        '"10":{"dtype":"U8","shape":[1],"data_offsets":[1,2]},"9":{"dtype":"U8","shape":[1],"data_offsets":[2,3]},' +
        '"__proto__":{"dtype":"U8","shape":[1],"data_offsets":[3,4]},"\uFF5E":{"dtype":"U8","shape":[1],"data_offsets":[4,5]},' +
        '"\u{1F600}":{"dtype":"U8","shape":[1],"data_offsets":[5,6]}}  ',
    );
    expect(bytes.toString('hex', 384)).toBe('060405030201');
  });

  it('of every dtype that its Python binding can write', async () => {
    const dtypes = Object.keys(SAFETENSORS_DTYPES) as SafetensorsDtype[];
    const tensors = dtypes.map((dtype, i) => ({
      name: `${dtype.toLowerCase()}_t`,
      dtype,
      shape: [4],
      data: Buffer.alloc(SAFETENSORS_DTYPES[dtype] / 2, i),
    }));
    const path = await writeTemporary(
      tensors.filter(({ dtype }) => !/^F[46]/.test(dtype) || dtype === 'F64'),
    );
    const digest = createHash('sha256')
      .update(await readFile(path))
      .digest('hex');
    expect(digest).toBe('93b78f5ad878f388183a0e0fc4cc1835b2f0a3cc81e7d43958a17fd47d95d9e6');
  });
});

describe('writeSafetensors', () => {
  it('writes what the reader reads: any names, dtypes, shapes, data and metadata', async () => {
    const path = join(await temporaryDirectory(), 'x.safetensors');
    const unicode = fc.string({ unit: 'binary' });
    await fc.assert(
      fc.asyncProperty(arbitraryTensors, fc.dictionary(unicode, unicode), async (tensors, metadata) => {
        await writeSafetensors(path, tensors, { metadata: new Map(Object.entries(metadata)) });
        await using file = await SafetensorsFile.open(path);
        expect(file.metadata).toEqual(new Map(Object.entries(metadata)));
        expect(new Set(file.names)).toEqual(new Set(tensors.map(({ name }) => name)));
        for (const { name, dtype, shape, data } of tensors) {
          expect(file.info(name)).toEqual({ name, dtype, shape, byteLength: data.length });
          expect(await file.read(name)).toEqual(data);
        }
        // Every tensor is aligned to its elements.
        let begin = 0;
        for (const { dtype, byteLength } of file.names.map((name) => file.info(name))) {
          if (byteLength > 0) expect((begin * 8) % Math.max(SAFETENSORS_DTYPES[dtype], 8)).toBe(0);
          begin += byteLength;
        }
      }),
      { numRuns: 200 },
    );
  });

  it('starts the data at a multiple of 8', async () => {
    for (let length = 1; length <= 9; length += 1) {
      const bytes = await readFile(await writeTemporary([u8('n'.repeat(length), 1)]));
      expect(bytes.readBigUInt64LE() % 8n).toBe(0n);
    }
  });

  it('takes typed arrays, functions, pieces and asynchronous lists', async () => {
    const path = join(await temporaryDirectory(), 'x.safetensors');
    async function* pieces() {
      yield Uint8Array.of(1, 2);
      yield new Uint8Array(0);
      yield Uint8Array.of(3);
    }
    async function* tensors(): AsyncGenerator<TensorToWrite> {
      yield { name: 'array', dtype: 'F32', shape: [2], data: Float32Array.of(1, 2, 3).subarray(1) };
      yield { name: 'function', dtype: 'U8', shape: [1], data: () => Uint8Array.of(4) };
      yield { name: 'promise', dtype: 'U8', shape: [1], data: async () => Uint8Array.of(5) };
      yield { name: 'pieces', dtype: 'U8', shape: [3], data: pieces };
    }
    await writeSafetensors(path, tensors());
    await using file = await SafetensorsFile.open(path);
    expect([...new Float32Array((await file.read('array')).buffer)]).toEqual([2, 3]);
    expect(await Promise.all(['function', 'promise', 'pieces'].map((name) => file.read(name)))).toEqual([
      Uint8Array.of(4),
      Uint8Array.of(5),
      Uint8Array.of(1, 2, 3),
    ]);
  });

  it('asks for data one tensor at a time, in the order of the file', async () => {
    const events: string[] = [];
    const lazy = (name: string, dtype: SafetensorsDtype): TensorToWrite => ({
      name,
      dtype,
      shape: [],
      data: async function* () {
        events.push(`begin ${name}`);
        yield new Uint8Array(SAFETENSORS_DTYPES[dtype] / 8);
        events.push(`end ${name}`);
      },
    });
    await writeTemporary([lazy('a', 'U8'), lazy('c', 'F32'), lazy('b', 'F32')]);
    expect(events).toEqual(['begin b', 'end b', 'begin c', 'end c', 'begin a', 'end a']);
  });

  it('splits large writes', async () => {
    const path = join(await temporaryDirectory(), 'x');
    const bytes = Uint8Array.from({ length: 100 }, (_, i) => i);
    const handle = await open(path, 'w');
    await writeFully(handle, bytes.subarray(1), path, 7);
    await handle.close();
    expect(new Uint8Array(await readFile(path))).toEqual(bytes.subarray(1));
  });

  it('may read from the file it replaces', async () => {
    const path = await writeTemporary([u8('a', 1), u8('b', 2)]);
    await using old = await SafetensorsFile.open(path);
    await writeSafetensors(path, [{ ...old.info('a'), data: () => old.read('a') }]);
    await using file = await SafetensorsFile.open(path);
    expect(file.names).toEqual(['a']);
    expect(await file.read('a')).toEqual(Uint8Array.of(1));
  });

  it('leaves the old file, and nothing else, if the data fails', async () => {
    const directory = await temporaryDirectory();
    const path = join(directory, 'x.safetensors');
    await writeFile(path, 'old');
    const cause = new Error('out of paper');
    const failing = writeSafetensors(path, [
      u8('a', 1),
      {
        name: 'b',
        dtype: 'U8',
        shape: [1],
        data: () => {
          throw cause;
        },
      },
    ]);
    await expect(failing).rejects.toBe(cause);
    expect(await readdir(directory)).toEqual(['x.safetensors']);
    expect(await readFile(path, 'utf8')).toBe('old');
  });
});

describe('writeSafetensors refuses', () => {
  const cases: readonly (readonly [string, readonly TensorToWrite[], Record<string, string>, string])[] = [
    ['a name twice', [u8('a', 1), u8('a', 2)], {}, 'tensor "a": expected unique names, got it twice'],
    [
      'the name of the metadata',
      [u8('__metadata__', 1)],
      {},
      'tensor "__metadata__": expected a name of Unicode text other than __metadata__',
    ],
    [
      'a name that is not Unicode',
      [u8('\ud800', 1)],
      {},
      'tensor "\\ud800": expected a name of Unicode text other than __metadata__',
    ],
    [
      'half a byte',
      [{ ...u8('a', 1), dtype: 'F4', shape: [3] }],
      {},
      'tensor "a": shape: expected a whole number of bytes, got [3] of F4, 12 bits',
    ],
    [
      'a fractional extent',
      [{ ...u8('a', 1), shape: [0.5] }],
      {},
      'tensor "a": shape[0]: expected an integer from 0 to 2^53 - 1, got 0.5',
    ],
    [
      'too little data',
      [{ ...u8('a', 1), shape: [2] }],
      {},
      'tensor "a": data: expected 2 bytes for U8 [2], got 1',
    ],
    [
      'too much data',
      [{ ...u8('a', 1, 2), shape: [] }],
      {},
      'tensor "a": data: expected 1 bytes for U8 [], got at least 2',
    ],
    [
      'metadata that is not text',
      [],
      { a: 1 as unknown as string },
      '__metadata__: "a": expected Unicode text, got 1',
    ],
    [
      'metadata that is not Unicode',
      [],
      { a: '\udc00' },
      '__metadata__: "a": expected Unicode text, got "\\udc00"',
    ],
    [
      'more than 2^53 bytes',
      ['a', 'b', 'c']
        .map((name) => ({ ...u8(name), shape: [2 ** 49, 1] }))
        .concat(Array.from({ length: 16 }, (_, i) => ({ ...u8(`d${i}`), shape: [2 ** 49, 1] }))),
      {},
      'expected less than 2^53 bytes of data, got 10696049115004928',
    ],
  ];

  it.each(cases)('%s', async (_fault, tensors, metadata, message) => {
    const directory = await temporaryDirectory();
    const path = join(directory, 'x.safetensors');
    expect(await failure(() => writeSafetensors(path, tensors, { metadata }))).toBe(
      `QUTLASS_E_CHECKPOINT ${path}: ${message}`,
    );
    expect(await readdir(directory)).toEqual([]);
  });

  it('a directory that is not there', async () => {
    const path = join(await temporaryDirectory(), 'missing', 'x.safetensors');
    expect(await failure(() => writeSafetensors(path, []))).toBe(
      `QUTLASS_E_CHECKPOINT ${path}: cannot be created (ENOENT)`,
    );
  });

  it('a target that is a directory', async () => {
    const directory = await temporaryDirectory();
    const parent = join(directory, '..');
    const before = await readdir(parent);
    expect(await failure(() => writeSafetensors(directory, []))).toBe(
      `QUTLASS_E_CHECKPOINT ${directory}: cannot be replaced (EISDIR)`,
    );
    expect((await readdir(parent)).filter((name) => name.endsWith('.tmp') && !before.includes(name))).toEqual(
      [],
    );
  });
});
