import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FORMATS, hadamard, identity, int4, int8, nvfp4, rotation } from '@qutlass/quant';
import { describe, expect, it } from 'vitest';
import {
  type QuantizedModule,
  quantizationConfigJSON,
  readQuantizationConfig,
} from './quantization-config.js';
import { failure, temporaryDirectory } from './test-support.js';

async function read(quantization: unknown) {
  const directory = await temporaryDirectory();
  await writeFile(join(directory, 'config.json'), JSON.stringify({ quantization_config: quantization }));
  return readQuantizationConfig(directory);
}

async function readFailure(quantization: unknown): Promise<string> {
  return (await failure(() => read(quantization))).replace(/\S*(?=config\.json)/, '');
}

describe('quantization_config', () => {
  it('holds every format and rotation', async () => {
    const modules = new Map<string, QuantizedModule>(
      FORMATS.map((format) => [
        format.name,
        { format, activations: null, rotation: undefined, inFeatures: 7 },
      ]),
    );
    for (const turn of [identity(), hadamard(16), hadamard(32, { seed: 0 }), rotation([0, 1, 1, 0], 2)]) {
      modules.set(String(turn), { format: int4(), activations: int8(), rotation: turn, inFeatures: 33 });
    }
    const back = [...((await read(quantizationConfigJSON({ modules })))?.modules ?? [])];
    // Rotations are values with a comparison of their own.
    const plain = ([name, { rotation: _, ...module }]: [string, QuantizedModule]) => [name, module];
    expect(back.map(plain)).toEqual([...modules].map(plain));
    for (const [name, { rotation: turn }] of back) {
      const given = modules.get(name)?.rotation;
      expect(turn === undefined ? given === undefined : given?.equals(turn)).toBe(true);
    }
  });

  it('is not there for a dense model', async () => {
    expect(await read(undefined)).toBeUndefined();
    expect(await read(null)).toBeUndefined();
  });

  it.each([
    ['gptq', { quant_method: 'gptq', bits: 4 }, '"gptq"'],
    ['none', {}, 'nothing'],
    ['not an object', 'nvfp4', 'nothing'],
  ])('of another method is not supported: %s', async (_, quantization, got) => {
    expect(await readFailure(quantization)).toBe(
      `QUTLASS_E_UNSUPPORTED config.json: quantization_config.quant_method: expected "qutlass", got ${got}`,
    );
  });

  const module = { format: 'nvfp4', activations: null, in_features: 32 };
  const names = FORMATS.map(({ name }) => name).join(', ');
  it.each<[string, unknown, string]>([
    ['version', { version: 2, modules: {} }, 'version: expected 1, got 2'],
    ['no version', { modules: {} }, 'version: expected 1, got nothing'],
    ['no modules', { version: 1 }, 'modules: expected an object, got nothing'],
    ['a module of no object', { version: 1, modules: { a: 1 } }, 'modules.a: expected an object, got 1'],
    [
      'no format',
      { version: 1, modules: { a: { ...module, format: undefined } } },
      'modules.a.format: expected the name of a format, got nothing',
    ],
    [
      'unknown format',
      { version: 1, modules: { 'a.b': { ...module, format: 'int3' } } },
      `modules.a.b: format: expected one of ${names}, got "int3"`,
    ],
    [
      'unknown activations',
      { version: 1, modules: { a: { ...module, activations: 'int3' } } },
      `modules.a: format: expected one of ${names}, got "int3"`,
    ],
    [
      'no features',
      { version: 1, modules: { a: { ...module, in_features: 0 } } },
      'modules.a.in_features: expected a positive integer, got 0',
    ],
    [
      'unknown rotation',
      { version: 1, modules: { a: { ...module, rotation: { kind: 'givens' } } } },
      'modules.a.rotation.kind: expected identity, hadamard or matrix, got "givens"',
    ],
    [
      'a rotation of no power of two',
      { version: 1, modules: { a: { ...module, rotation: { kind: 'hadamard', size: 48 } } } },
      'modules.a: size: expected a power of two from 2 to 16384, got 48',
    ],
    [
      'bits that are none',
      { version: 1, modules: { a: { ...module, rotation: { kind: 'matrix', size: 1, bits: [65536] } } } },
      'modules.a.rotation.bits.0: expected the bits of a bfloat16, got 65536',
    ],
    [
      'a matrix that is too small',
      { version: 1, modules: { a: { ...module, rotation: { kind: 'matrix', size: 2, bits: [0] } } } },
      'modules.a: matrix: expected 2 x 2 elements, got 1',
    ],
  ])('is refused with %s', async (_, quantization, message) => {
    expect(await readFailure({ quant_method: 'qutlass', ...(quantization as object) })).toBe(
      `QUTLASS_E_CHECKPOINT config.json: quantization_config.${message}`,
    );
  });

  it('gives layers that rotate alike one rotation', async () => {
    const entry = (turn = hadamard(16, { seed: 1 })): QuantizedModule => ({
      format: nvfp4(),
      activations: null,
      rotation: turn,
      inFeatures: 32,
    });
    const modules = new Map([
      ['a', entry()],
      ['b', entry()],
      ['c', entry(hadamard(16))],
    ]);
    const config = await read(quantizationConfigJSON({ modules }));
    const [a, b, c] = ['a', 'b', 'c'].map((name) => config?.modules.get(name)?.rotation);
    expect(a).toBe(b);
    expect(c).not.toBe(a);
  });
});
