import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { writeCheckpoint } from './checkpoint-writer.js';
import { type TensorToWrite, writeSafetensors } from './safetensors-writer.js';
import { CheckpointFiles } from './sharded.js';
import { arbitraryTensors, failure, temporaryDirectory, testdata } from './test-support.js';

const u8 = (name: string, ...values: number[]): TensorToWrite => ({
  name,
  dtype: 'U8',
  shape: [values.length],
  data: Uint8Array.from(values),
});

/** A directory with shards `one` (a, b) and `two` (c), and the given index. */
async function sharded(index: unknown): Promise<string> {
  const directory = await temporaryDirectory();
  await writeSafetensors(join(directory, 'one.safetensors'), [u8('a', 1), u8('b', 2)], {
    metadata: { x: '1', y: '1' },
  });
  await writeSafetensors(join(directory, 'two.safetensors'), [u8('c', 3)], { metadata: { x: '2', z: '2' } });
  await writeFile(join(directory, 'model.safetensors.index.json'), JSON.stringify(index));
  return directory;
}

const [one, two] = ['one.safetensors', 'two.safetensors'];

describe('CheckpointFiles', () => {
  it('opens a model directory, or its one file', async () => {
    const directory = join(testdata, 'models/tiny-llama');
    await using checkpoint = await CheckpointFiles.open(directory);
    expect(checkpoint.names).toHaveLength(39);
    expect(checkpoint.metadata).toEqual(new Map([['format', 'pt']]));
    expect(checkpoint.info('model.norm.weight')).toEqual({
      name: 'model.norm.weight',
      dtype: 'BF16',
      shape: [256],
      byteLength: 512,
    });
    await using file = await CheckpointFiles.open(join(directory, 'model.safetensors'));
    expect(await file.read('model.norm.weight')).toEqual(await checkpoint.read('model.norm.weight'));
  });

  it('finds tensors across shards, those of the index only', async () => {
    const directory = await sharded({ metadata: { total_size: 3 }, weight_map: { c: two, a: one } });
    await using checkpoint = await CheckpointFiles.open(directory);
    expect(checkpoint.names).toEqual(['a', 'c']);
    expect([checkpoint.has('a'), checkpoint.has('b'), checkpoint.has('toString')]).toEqual([
      true,
      false,
      false,
    ]);
    expect(await checkpoint.read('c')).toEqual(Uint8Array.of(3));
    const target = new Uint8Array(1);
    await checkpoint.readInto('a', target);
    expect(target).toEqual(Uint8Array.of(1));
    expect(checkpoint.metadata).toEqual(
      new Map([
        ['x', '1'],
        ['z', '2'],
        ['y', '1'],
      ]),
    );
  });

  it('opens an index, and prefers a single file in a directory', async () => {
    const directory = await sharded({ weight_map: { a: one } });
    await writeSafetensors(join(directory, 'model.safetensors'), [u8('single', 9)]);
    await using checkpoint = await CheckpointFiles.open(directory);
    expect(checkpoint.names).toEqual(['single']);
    await using indexed = await CheckpointFiles.open(join(directory, 'model.safetensors.index.json'));
    expect(indexed.names).toEqual(['a']);
  });

  it('takes tensors named like object members', async () => {
    const directory = await temporaryDirectory();
    await writeSafetensors(join(directory, one), [u8('__proto__', 1), u8('constructor', 2)]);
    await writeFile(
      join(directory, 'model.safetensors.index.json'),
      `{"weight_map":{"__proto__":"${one}","constructor":"${one}"}}`,
    );
    await using checkpoint = await CheckpointFiles.open(directory);
    expect(await checkpoint.read('__proto__')).toEqual(Uint8Array.of(1));
  });
});

describe('CheckpointFiles refuses', () => {
  it('a directory without weights', async () => {
    const directory = await temporaryDirectory();
    expect(await failure(() => CheckpointFiles.open(directory))).toBe(
      `QUTLASS_E_CHECKPOINT ${directory}: expected model.safetensors or model.safetensors.index.json in the directory, got neither`,
    );
  });

  it('a path that is not there', async () => {
    const path = join(await temporaryDirectory(), 'missing');
    expect(await failure(() => CheckpointFiles.open(path))).toBe(
      `QUTLASS_E_CHECKPOINT ${path}: cannot be opened (ENOENT)`,
    );
  });

  const plainName = 'expected the name of a file in the same directory';
  it.each([
    ['an index that is an array', [], 'expected a JSON object, got []'],
    ['no weight map', { metadata: {} }, 'weight_map: expected an object of file names, got nothing'],
    [
      'a weight map that is an array',
      { weight_map: [one] },
      `weight_map: expected an object of file names, got ["${one}"]`,
    ],
    ['a number for a file', { weight_map: { a: 1 } }, `weight_map: tensor "a": ${plainName}, got 1`],
    ['no name', { weight_map: { a: '' } }, `weight_map: tensor "a": ${plainName}, got ""`],
    ['the directory above', { weight_map: { a: '..' } }, `weight_map: tensor "a": ${plainName}, got ".."`],
    [
      'a file outside the directory',
      { weight_map: { a: '../secret.safetensors' } },
      `weight_map: tensor "a": ${plainName}, got "../secret.safetensors"`,
    ],
    [
      'an absolute path',
      { weight_map: { a: '/etc/passwd' } },
      `weight_map: tensor "a": ${plainName}, got "/etc/passwd"`,
    ],
    ['a Windows path', { weight_map: { a: '..\\x' } }, `weight_map: tensor "a": ${plainName}, got "..\\\\x"`],
    [
      'a missing shard',
      { weight_map: { a: one, d: 'three.safetensors' } },
      'weight_map: tensor "d": expected a file "three.safetensors", got none',
    ],
    [
      'a tensor that its shard lacks',
      { weight_map: { a: one, c: one } },
      `weight_map: tensor "c": expected to be in "${one}", which lacks it`,
    ],
  ])('%s', async (_fault, index, message) => {
    const directory = await sharded(index);
    expect(await failure(() => CheckpointFiles.open(directory))).toBe(
      `QUTLASS_E_CHECKPOINT ${join(directory, 'model.safetensors.index.json')}: ${message}`,
    );
  });

  it('a tensor in two shards', async () => {
    const directory = await sharded({});
    const index = join(directory, 'model.safetensors.index.json');
    await writeFile(index, `{"weight_map":{"a":"${one}","a":"${two}"}}`);
    expect(await failure(() => CheckpointFiles.open(directory))).toBe(
      `QUTLASS_E_CHECKPOINT ${index}: "weight_map": expected unique keys, got "a" twice`,
    );
  });

  it('a damaged shard', async () => {
    const directory = await sharded({ weight_map: { a: one, c: two } });
    const path = join(directory, two);
    await writeFile(path, (await readFile(path)).subarray(0, -1));
    expect(await failure(() => CheckpointFiles.open(directory))).toBe(
      `QUTLASS_E_CHECKPOINT ${path}: tensor "c": data_offsets: expected an end within the 0 bytes of data, got 1; the file may be truncated`,
    );
  });

  it('an unknown tensor', async () => {
    const directory = await sharded({ weight_map: { a: one } });
    await using checkpoint = await CheckpointFiles.open(directory);
    expect(await failure(() => checkpoint.read('b'))).toBe(
      `QUTLASS_E_CHECKPOINT ${join(directory, 'model.safetensors.index.json')}: expected a tensor "b", got 1 others`,
    );
  });
});

describe('writeCheckpoint', () => {
  it('writes one file if that is enough', async () => {
    const directory = join(await temporaryDirectory(), 'new', 'model');
    expect(await writeCheckpoint(directory, [u8('a', 1), u8('b', 2)])).toEqual(['model.safetensors']);
    expect(await readdir(directory)).toEqual(['model.safetensors']);
  });

  it('fills shards in order and gives a large tensor one of its own', async () => {
    const directory = await temporaryDirectory();
    const tensors = [u8('a', 1, 2), u8('b', 3), u8('c', 4, 5, 6, 7, 8), u8('d', 9), u8('e', 10)];
    const files = await writeCheckpoint(directory, tensors, { maxShardBytes: 3, metadata: { format: 'pt' } });
    expect(files).toEqual([
      'model-00001-of-00003.safetensors',
      'model-00002-of-00003.safetensors',
      'model-00003-of-00003.safetensors',
      'model.safetensors.index.json',
    ]);
    expect((await readdir(directory)).sort()).toEqual([...files]);
    expect(JSON.parse(await readFile(join(directory, 'model.safetensors.index.json'), 'utf8'))).toEqual({
      metadata: { total_size: 10 },
      weight_map: { a: files[0], b: files[0], c: files[1], d: files[2], e: files[2] },
    });
    await using checkpoint = await CheckpointFiles.open(directory);
    expect(checkpoint.metadata).toEqual(new Map([['format', 'pt']]));
    expect(await checkpoint.read('c')).toEqual(Uint8Array.of(4, 5, 6, 7, 8));
  });

  it('writes what the reader reads, for any tensors and shard size', async () => {
    const directory = await temporaryDirectory();
    await fc.assert(
      fc.asyncProperty(
        arbitraryTensors,
        fc.integer({ min: 1, max: 5000 }),
        async (tensors, maxShardBytes) => {
          await writeCheckpoint(directory, tensors, { maxShardBytes });
          await using checkpoint = await CheckpointFiles.open(directory);
          expect(new Set(checkpoint.names)).toEqual(new Set(tensors.map(({ name }) => name)));
          for (const { name, dtype, shape, data } of tensors) {
            expect(checkpoint.info(name)).toEqual({ name, dtype, shape, byteLength: data.length });
            expect(await checkpoint.read(name)).toEqual(data);
          }
          for (const file of checkpoint.files) {
            const size = file.names.reduce((sum, name) => sum + file.info(name).byteLength, 0);
            const nonEmpty = file.names.filter((name) => file.info(name).byteLength > 0);
            expect(size <= maxShardBytes || nonEmpty.length === 1).toBe(true);
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  it('replaces the checkpoint of the directory, which it may read from, and leaves other files', async () => {
    const directory = await temporaryDirectory();
    await mkdir(join(directory, 'other'));
    await writeFile(join(directory, 'config.json'), '{}');
    await writeCheckpoint(directory, [u8('a', 1), u8('b', 2), u8('c', 3)], { maxShardBytes: 1 });
    await using old = await CheckpointFiles.open(directory);
    const copies = old.names.map((name) => ({ ...old.info(name), data: () => old.read(name) }));
    await writeCheckpoint(directory, copies);
    expect((await readdir(directory)).sort()).toEqual(['config.json', 'model.safetensors', 'other']);
    await writeCheckpoint(directory, copies, { maxShardBytes: 2 });
    await using checkpoint = await CheckpointFiles.open(directory);
    expect(checkpoint.files).toHaveLength(2);
    expect(await Promise.all(['a', 'b', 'c'].map((name) => checkpoint.read(name)))).toEqual([
      Uint8Array.of(1),
      Uint8Array.of(2),
      Uint8Array.of(3),
    ]);
  });

  it('leaves the old checkpoint, and nothing else, if the data of a later shard fails', async () => {
    const directory = await temporaryDirectory();
    await writeCheckpoint(directory, [u8('a', 1)]);
    const cause = new Error('out of paper');
    const broken = { ...u8('b', 2), data: () => Promise.reject(cause) };
    await expect(writeCheckpoint(directory, [u8('a', 7), broken], { maxShardBytes: 1 })).rejects.toBe(cause);
    expect(await readdir(directory)).toEqual(['model.safetensors']);
    await using checkpoint = await CheckpointFiles.open(directory);
    expect(await checkpoint.read('a')).toEqual(Uint8Array.of(1));
  });

  it.each([0, -1, Number.NaN])('refuses shards of %d bytes', async (maxShardBytes) => {
    expect(await failure(() => writeCheckpoint('unused', [], { maxShardBytes }))).toBe(
      `QUTLASS_E_ARGUMENT maxShardBytes: expected a positive number, got ${maxShardBytes}`,
    );
  });
});
