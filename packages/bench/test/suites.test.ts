import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Device } from '@qutlass/core-kernels';
import { onCpu } from '@qutlass/test-support';
import { describe, expect, it } from 'vitest';
import { denseDType } from '../src/gemm/operands.js';
import {
  decodeResults,
  gemmResults,
  hostResults,
  layerResults,
  quantizeResults,
} from '../src/results/schema.js';
import { commandLine } from './command-line.js';

const { folder, cli } = commandLine();
const device = Device.default;
const dense = denseDType(device);

describe('the suites', () => {
  const run = async (...args: string[]): Promise<unknown> => {
    const { code, stdout, stderr } = await cli(...args, '--device', device.name, '--quick', '--json');
    expect({ code, stderr }).toMatchObject({ code: 0 });
    return JSON.parse(stdout);
  };

  it('gemm: the clock and the baseline of the device', async () => {
    const { rows, settings, gpu } = gemmResults.parse(
      await run('gemm', '--shapes', '4,512,256', '--formats', 'bf16,int4-g128,int8-row:int8-row'),
    );
    expect(settings.clock).toBe(device.kind === 'cpu' ? 'host' : 'device');
    expect(gpu?.name).toBe(device.kind === 'cpu' ? undefined : device.info.name);
    const pairs = rows.filter(({ chosen, cache }) => chosen && cache === 'cold');
    expect(pairs.map(({ a, weight }) => `${a} x ${weight}`)).toEqual([
      ...[`${dense} x bf16`, `${dense} x int4-g128`, 'int8-row x int8-row'],
    ]);
    for (const { baseline } of rows)
      expect(baseline).toMatch(/^(cpu\.f32|cpu\.dense|cublaslt\.bf16|cuda\.f32)/);
  });

  it('quantize: bytes, and rates by them', async () => {
    const { rows, limits } = quantizeResults.parse(
      await run('quantize', '--shapes', '32,256', '--formats', 'nvfp4,int8-row,mxfp8'),
    );
    const made = ['rmsNorm', 'siluMul'].flatMap((by) => [true, false].map((fused) => ({ by, fused })));
    expect(
      rows.map(({ format, rotation, globalScale, made, training }) => [
        ...[format, rotation, globalScale, made ?? training],
      ]),
    ).toEqual([
      ['nvfp4', null, 'found', null],
      ['nvfp4', null, 'given', null],
      ['nvfp4', 'hadamard(16)', 'found', null],
      ['nvfp4', 'hadamard(16)', 'given', null],
      ...made.map((input) => ['nvfp4', null, 'found', input]),
      ['nvfp4', null, 'found', 'stochastic'],
      ['nvfp4', null, 'found', 'transposed'],
      ['nvfp4', 'hadamard(16)', 'found', 'transposed'],
      ['nvfp4', null, 'found', 'transposed in two calls'],
      ['nvfp4', null, 'found', 'requantized'],
      ['int8-row', null, null, null],
      ['int8-row', 'hadamard(128)', null, null],
      ...made.map((input) => ['int8-row', null, null, input]),
      ['int8-row', null, null, 'stochastic'],
      ['mxfp8', null, null, null],
      ['mxfp8', 'hadamard(32)', null, null],
      ...made.map((input) => ['mxfp8', null, null, input]),
      ['mxfp8', null, null, 'stochastic'],
      ['mxfp8', null, null, 'transposed'],
      ['mxfp8', 'hadamard(32)', null, 'transposed'],
      ['mxfp8', null, null, 'transposed in two calls'],
      ['mxfp8', null, null, 'requantized'],
      ['mxfp8', null, null, 'squares'],
    ]);
    const size = 32 * 256;
    // 4.5 bits written, and the global scale; 8 bits and a float32 scale for each row, or a byte for 32.
    const sizes = { nvfp4: (size * 4.5) / 8 + 4, 'int8-row': size + 32 * 4, mxfp8: size * (1 + 1 / 32) };
    // 2 bytes read; with the gains of a norm, the other operand of a gate.
    const inputs = { rmsNorm: size * 2 + 256 * 2, siluMul: size * 4 };
    for (const { format, made, training, bytes, seconds, gigabytesPerSecond, copyFraction } of rows) {
      const written = sizes[format as keyof typeof sizes];
      const read = made ? inputs[made.by] : training === 'requantized' ? written : size * 2;
      expect(bytes).toBe(read + written + (training === 'squares' ? size / 32 : 0));
      expect(gigabytesPerSecond).toBeCloseTo(bytes / seconds.median / 1e9, 6);
      expect(copyFraction).toBeCloseTo(bytes / seconds.median / limits.copyBandwidth.median, 6);
    }
  });

  it('layer: the whole and the product', async () => {
    const formats = 'bf16,nvfp4:nvfp4+16,int4-g128';
    const { rows } = layerResults.parse(await run('layer', '--shapes', '2,256,100', '--formats', formats));
    expect(rows.map(({ weight, activations, rotation }) => [weight, activations, rotation])).toEqual([
      [dense, null, null],
      ['nvfp4', 'nvfp4', 'hadamard(16)'],
      ['int4-g128', null, null],
    ]);
    for (const { kernel } of rows) expect(kernel).toMatch(/^[a-z]+\.[a-z0-9.]+$/);
  });

  it('decode: tokens, and the roofline by the bytes of a token', async () => {
    const args = ['--shape', 'tiny', '--layers', '1', '--context', '16', '--format', 'bf16,nvfp4'];
    const { rows, limits } = decodeResults.parse(await run('decode', ...args));
    expect(
      rows.map(({ model, layers, weights, head, context }) => [model, layers, weights, head, context]),
    ).toEqual([
      ['tiny', 1, dense, dense, 16],
      ['tiny', 1, 'nvfp4', dense, 16],
      ['tiny', 1, 'nvfp4', 'nvfp4', 16],
    ]);
    for (const { bytesPerToken, step, rooflineTokensPerSecond, rooflineFraction, tokensPerSecond } of rows) {
      expect(rooflineTokensPerSecond).toBeCloseTo(limits.readBandwidth.median / bytesPerToken, 3);
      expect(rooflineFraction).toBeCloseTo(tokensPerSecond.median / rooflineTokensPerSecond, 6);
      const { layerBytes, headBytes, cacheBytes, operations, restSeconds } = step!;
      expect(layerBytes + headBytes + cacheBytes).toBe(bytesPerToken);
      expect(restSeconds).toBeCloseTo(1 / tokensPerSecond.median - 1 / rooflineTokensPerSecond, 9);
      // Embedding, two norms, four products in one launch each or more, rotation, attention, SiLU; norm, head, choice.
      expect(operations).toBeGreaterThanOrEqual(13);
    }
    const [whole, quantized, all] = rows.map(({ bytesPerToken }) => bytesPerToken);
    expect(quantized).toBeLessThan(whole!);
    expect(all).toBeLessThan(quantized!);
  });

  it('host: the kernels of each operation', async () => {
    const { rows } = hostResults.parse(await run('host', '--formats', 'nvfp4,nvfp4:nvfp4'));
    expect(rows.map(({ operation }) => operation)).toEqual([
      ...['QuantLinear.forward nvfp4', 'QuantLinear.forward nvfp4 x nvfp4', 'Graph.launch', 'Graph.launch'],
    ]);
    const [weightOnly, both, graph, larger] = rows.map(({ nodes }) => nodes);
    // Activations are quantized in front of the product, on a GPU by the product itself.
    expect(both).toBe(onCpu ? weightOnly! + 1 : weightOnly!);
    expect([graph, larger]).toEqual([weightOnly, 64 * weightOnly!]);
  });

  it('tune: measured times, in the file that was named', async () => {
    const args = ['--shapes', '1,2048,2048', '--formats', 'f32', '--cache', 'tuning.json'];
    const tuned = (await run('tune', ...args)) as {
      chosen: string;
      kernels: { measuredSeconds: number }[];
    }[];
    expect(tuned).toHaveLength(1);
    const { chosen } = tuned[0]!;
    expect(chosen).toMatch(/^(cpu|cuda|cublaslt)\./);
    expect(tuned[0]!.kernels.some(({ measuredSeconds }) => measuredSeconds > 0)).toBe(true);
    expect(await readFile(join(folder(), 'tuning.json'), 'utf8')).toContain(chosen);
  });
});
