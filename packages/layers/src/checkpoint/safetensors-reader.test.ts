import { open, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { readFully } from './file-io.js';
import { SafetensorsFile } from './safetensors-reader.js';
import { writeSafetensors } from './safetensors-writer.js';
import { failure, fileBytes, temporaryDirectory, testdata } from './test-support.js';

const tinyLlama = join(testdata, 'models/tiny-llama/model.safetensors');
const codec = join(testdata, 'golden/codec.safetensors');

async function writeTemporary(bytes: Uint8Array): Promise<string> {
  const path = join(await temporaryDirectory(), 'x.safetensors');
  await writeFile(path, bytes);
  return path;
}

/** Two tensors of 5 and 4 bytes; the second does not start at a multiple of its element size. */
const unaligned = () => {
  const bytes = fileBytes(
    '{"__metadata__":{"k":"v"},"f":{"dtype":"F32","shape":[],"data_offsets":[5,9]},"u":{"dtype":"U8","shape":[5],"data_offsets":[0,5]}}',
    9,
  );
  bytes.set([1, 2, 3, 4, 5], bytes.length - 9);
  bytes.writeFloatLE(0.5, bytes.length - 4);
  return bytes;
};

describe('SafetensorsFile', () => {
  it('reads names, metadata, shapes and data', async () => {
    const path = await writeTemporary(unaligned());
    await using file = await SafetensorsFile.open(path);
    expect(file.names).toEqual(['u', 'f']);
    expect(file.metadata).toEqual(new Map([['k', 'v']]));
    expect([file.has('u'), file.has('toString')]).toEqual([true, false]);
    expect(file.info('f')).toEqual({ name: 'f', dtype: 'F32', shape: [], byteLength: 4 });
    expect(await file.read('u')).toEqual(Uint8Array.of(1, 2, 3, 4, 5));
  });

  it('gives bytes that any typed array can view, wherever they were in the file', async () => {
    await using file = await SafetensorsFile.open(await writeTemporary(unaligned()));
    const bytes = await file.read('f');
    expect(bytes.byteOffset).toBe(0);
    expect(new Float32Array(bytes.buffer)).toEqual(Float32Array.of(0.5));
  });

  it('reads a range into given memory', async () => {
    await using file = await SafetensorsFile.open(await writeTemporary(unaligned()));
    const target = new Uint8Array(4);
    await file.readInto('u', target.subarray(1, 3), 2);
    expect(target).toEqual(Uint8Array.of(0, 3, 4, 0));
    await file.readInto('u', new Uint8Array(0), 5);
  });

  it('reads the tensors of a model', async () => {
    const raw = await readFile(tinyLlama);
    await using file = await SafetensorsFile.open(tinyLlama);
    expect(file.names).toHaveLength(39);
    expect(file.metadata).toEqual(new Map([['format', 'pt']]));
    expect(file.info('lm_head.weight')).toEqual({
      name: 'lm_head.weight',
      dtype: 'BF16',
      shape: [1024, 256],
      byteLength: 524288,
    });
    // All tensors, at the same time: their data in order is the rest of the file.
    const tensors = await Promise.all(file.names.map((name) => file.read(name)));
    const dataStart = 8 + Number(raw.readBigUInt64LE());
    expect(Buffer.concat(tensors).equals(raw.subarray(dataStart))).toBe(true);
  });

  it('reads the values of a tensor', async () => {
    await using file = await SafetensorsFile.open(codec);
    const bytes = await file.read('e2m1.decode');
    const magnitudes = [0, 0.5, 1, 1.5, 2, 3, 4, 6];
    expect([...new Float32Array(bytes.buffer)]).toEqual([
      ...magnitudes,
      ...magnitudes.map((value) => -value),
    ]);
  });

  it('reaches data beyond 4 GiB', async () => {
    const size = 5 * 2 ** 30;
    const path = join(await temporaryDirectory(), 'sparse.safetensors');
    const header = fileBytes(
      `{"big":{"dtype":"U8","shape":[${size}],"data_offsets":[0,${size}]},"tail":{"dtype":"U8","shape":[2],"data_offsets":[${size},${size + 2}]}}`,
    );
    const handle = await open(path, 'w');
    await handle.write(header);
    await handle.truncate(header.length + size + 2);
    await handle.write(Buffer.from([7, 8, 9, 10]), 0, 4, header.length + size - 2);
    await handle.close();
    await using file = await SafetensorsFile.open(path);
    const end = new Uint8Array(3);
    await file.readInto('big', end, size - 3);
    expect(end).toEqual(Uint8Array.of(0, 7, 8));
    expect(await file.read('tail')).toEqual(Uint8Array.of(9, 10));
  });

  it('splits large reads', async () => {
    const path = await writeTemporary(Uint8Array.from({ length: 100 }, (_, i) => i));
    const handle = await open(path);
    const target = new Uint8Array(90);
    await readFully(handle, target, 10, path, 7);
    await handle.close();
    expect(target).toEqual(Uint8Array.from({ length: 90 }, (_, i) => i + 10));
  });

  it('holds no more than the tensor asked for', async () => {
    setFlagsFromString('--expose-gc');
    const collectGarbage: () => void = runInNewContext('gc');
    const used = () => {
      collectGarbage();
      const { external, arrayBuffers } = process.memoryUsage();
      return external + arrayBuffers;
    };
    const tensorBytes = 10 * 2 ** 20;
    const path = join(await temporaryDirectory(), 'large.safetensors');
    const start = used();
    let peak = start;
    // Collecting is slow; what is kept adds up until the next sample.
    const sample = (i: number) => {
      if (i % 5 === 4) peak = Math.max(peak, used());
    };
    const tensors = Array.from({ length: 20 }, (_, i) => ({
      name: `tensor.${String(i).padStart(2, '0')}`,
      dtype: 'U8' as const,
      shape: [tensorBytes],
      data: () => {
        sample(i);
        return Buffer.alloc(tensorBytes, i);
      },
    }));
    await writeSafetensors(path, tensors);
    expect((await stat(path)).size).toBeGreaterThan(20 * tensorBytes);
    await using file = await SafetensorsFile.open(path);
    for (const [i, { name }] of tensors.entries()) {
      const bytes = await file.read(name);
      expect(bytes[tensorBytes - 1]).toBe(i);
      sample(i);
    }
    // All 20 would count twice, as external and as array buffers. V8 frees buffers on a thread of its own, some after gc()
    // has returned, so the limit leaves room for a few.
    expect(peak - start).toBeLessThan(10 * tensorBytes);
  });
});

describe('SafetensorsFile refuses', () => {
  it('what is not there', async () => {
    const path = join(await temporaryDirectory(), 'missing.safetensors');
    expect(await failure(() => SafetensorsFile.open(path))).toBe(
      `QUTLASS_E_CHECKPOINT ${path}: cannot be opened (ENOENT)`,
    );
  });

  it('a directory', async () => {
    const path = await temporaryDirectory();
    expect(await failure(() => SafetensorsFile.open(path))).toBe(
      `QUTLASS_E_CHECKPOINT ${path}: expected a file, got a directory or device`,
    );
  });

  it('a file shorter than the header length', async () => {
    const path = await writeTemporary(Buffer.from('{}'));
    expect(await failure(() => SafetensorsFile.open(path))).toBe(
      `QUTLASS_E_CHECKPOINT ${path}: expected at least 8 bytes, got 2`,
    );
  });

  it('a truncated file', async () => {
    const path = await writeTemporary(unaligned().subarray(0, -1));
    expect(await failure(() => SafetensorsFile.open(path))).toBe(
      `QUTLASS_E_CHECKPOINT ${path}: tensor "f": data_offsets: expected an end within the 8 bytes of data, got 9; the file may be truncated`,
    );
  });

  it('to go on when the file shrinks while open', async () => {
    const bytes = unaligned();
    const path = await writeTemporary(bytes);
    await using file = await SafetensorsFile.open(path);
    await writeFile(path, bytes.subarray(0, -2));
    expect(await failure(() => file.read('f'))).toBe(
      `QUTLASS_E_CHECKPOINT ${path}: tensor "f": expected 4 bytes at offset ${bytes.length - 4}, got 2: the file was truncated while open`,
    );
  });

  it('an unknown tensor', async () => {
    await using file = await SafetensorsFile.open(codec);
    const message = `QUTLASS_E_CHECKPOINT ${codec}: expected a tensor "e9m9.decode", got 14 others`;
    expect(await failure(() => file.read('e9m9.decode'))).toBe(message);
    expect(await failure(() => file.info('e9m9.decode'))).toBe(message);
  });

  it('a range beyond the tensor', async () => {
    await using file = await SafetensorsFile.open(codec);
    const where = `QUTLASS_E_ARGUMENT ${codec}: tensor "e2m1.decode"`;
    expect(await failure(() => file.readInto('e2m1.decode', new Uint8Array(65)))).toBe(
      `${where}: expected a range within its 64 bytes, got 65 bytes from 0`,
    );
    expect(await failure(() => file.readInto('e2m1.decode', new Uint8Array(1), -1))).toBe(
      `${where}: expected a range within its 64 bytes, got 1 bytes from -1`,
    );
  });

  it('reads after it was closed, however often', async () => {
    const file = await SafetensorsFile.open(codec);
    await file.close();
    await file.close();
    expect(await failure(() => file.read('e2m1.decode'))).toBe(
      `QUTLASS_E_DISPOSED ${codec}: tensor "e2m1.decode": expected an open file, got a closed one`,
    );
  });

  it('a tensor that does not fit in memory', async () => {
    const size = 2 ** 42;
    const path = await writeTemporary(
      fileBytes(`{"t":{"dtype":"U8","shape":[${size}],"data_offsets":[0,${size}]}}`),
    );
    await truncate(path, (await stat(path)).size + size);
    await using file = await SafetensorsFile.open(path);
    expect(await failure(() => file.read('t'))).toBe(
      `QUTLASS_E_OUT_OF_MEMORY ${path}: tensor "t": cannot allocate ${size} bytes at once; readInto can read it in parts`,
    );
  });
});
