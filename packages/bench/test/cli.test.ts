import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { modelRowName } from '../src/results/names.js';
import {
  decodeResults,
  demoResults,
  gemmResults,
  hostResults,
  layerResults,
  quantizeResults,
} from '../src/results/schema.js';

const BIN = fileURLToPath(new URL('../bin/qutlass-bench.mjs', import.meta.url));

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'qutlass-bench-'));
});
afterAll(() => rm(folder, { recursive: true }));

interface Finished {
  code: number | null;
  stdout: string;
  stderr: string;
}

function start(args: readonly string[]): { child: ChildProcess; finished: Promise<Finished> } {
  const child = spawn(process.execPath, [BIN, ...args], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
  const finished = Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]).then(
    ([stdout, stderr, [code]]): Finished => ({ code, stdout, stderr }),
  );
  return { child, finished };
}

const cli = (...args: string[]) => start(args).finished;

describe('qutlass-bench demo', () => {
  it('prints JSON alone, with the losses of the independent implementation, and writes the report', async () => {
    const { code, stdout, stderr } = await cli('demo', '--quick', '--json');
    expect(stderr).toContain('report: qutlass-report.html\n');
    expect(code).toBe(0);
    const { rows, samples, model } = demoResults.parse(JSON.parse(stdout));
    expect(model).toEqual({ name: 'tiny-llama', tokens: 7802, window: 512 });
    const losses = Object.fromEntries(rows.map((row) => [modelRowName(row), row.loss]));
    expect(Math.abs(losses.bf16! - 1.9625)).toBeLessThan(0.002);
    const expected = {
      ...{ 'int8-row': 1.9626, mxfp8: 1.9651, 'fp8-row': 1.9689 },
      ...{ 'int4-g32': 1.9977, nvfp4: 2.0046, mxfp4: 2.0211 },
    };
    for (const [name, loss] of Object.entries(expected))
      expect(Math.abs(losses[name]! - loss)).toBeLessThan(0.004);
    const bits = Object.fromEntries(rows.map((row) => [modelRowName(row), row.bitsPerWeight]));
    expect(bits).toMatchObject({ bf16: 16, mxfp8: 8.25, 'int4-g32': 5, mxfp4: 4.25 });
    expect(samples.map(({ weights, text }) => [weights, text.length > 0])).toEqual([
      ['bf16', true],
      ['nvfp4', true],
    ]);
    const report = await readFile(join(folder, 'qutlass-report.html'), 'utf8');
    expect(report.match(/<svg[^>]* aria|<svg[^>]*viewBox/g)?.length).toBeGreaterThanOrEqual(4);
  }, 300_000);

  it('ends on Ctrl-C with exit code 130 and no stack', async () => {
    const { child, finished } = start(['demo', '--json']);
    await once(child.stderr!, 'data');
    child.kill('SIGINT');
    const { code, stdout, stderr } = await finished;
    expect(stdout).toBe('');
    expect(stderr.trimEnd().split('\n').at(-1)).toBe('interrupted');
    expect(code).toBe(130);
  });
});

describe('qutlass-bench gemm, compare and report', () => {
  it('measure, write, compare and render', async () => {
    const formats = 'f32,nvfp4,int8-row:int4-g128';
    const args = [
      'gemm',
      '--device',
      'cpu',
      '--quick',
      '--shapes',
      '3,256,256',
      '--formats',
      formats,
      '--out',
      'gemm.json',
      '--json',
    ];
    const measured = await cli(...args);
    expect(measured.code).toBe(0);
    expect(measured.stdout).toBe(await readFile(join(folder, 'gemm.json'), 'utf8'));
    const { rows, limits, settings, gpu } = gemmResults.parse(JSON.parse(measured.stdout));
    expect({ gpu, clock: settings.clock }).toEqual({ gpu: null, clock: 'host' });
    expect(measured.stderr).toMatch(/3 x 256 x 256 nvfp4 \(2 of 3, about \d+ s left\)/);
    const chosen = rows.filter((row) => row.chosen);
    expect(chosen.map(({ a, weight, cache }) => `${a} x ${weight} ${cache}`)).toEqual([
      ...['f32 x f32 hot', 'f32 x f32 cold', 'f32 x nvfp4 hot', 'f32 x nvfp4 cold'],
      ...['int8-row x int4-g128 hot', 'int8-row x int4-g128 cold'],
    ]);
    for (const row of rows) {
      const { m, n, k, gops, seconds, weightBytes, weightGigabytesPerSecond } = row;
      expect(row.bandwidthFraction).toBeCloseTo(row.bytes / seconds.median / limits.readBandwidth.median, 6);
      expect(gops).toBeCloseTo((2 * m * n * k) / seconds.median / 1e9, 6);
      expect(weightGigabytesPerSecond).toBeCloseTo(weightBytes / seconds.median / 1e9, 6);
    }
    // 4.5 bits per element and the global scale.
    expect(rows.find(({ weight }) => weight === 'nvfp4')?.weightBytes).toBe((256 * 256 * 4.5) / 8 + 4);

    const same = await cli('compare', 'gemm.json', 'gemm.json', '--json');
    const verdicts: string[] = JSON.parse(same.stdout).compared.map(
      (entry: { verdict: string }) => entry.verdict,
    );
    // The rows and the limits of the device.
    expect(verdicts).toEqual(Array(rows.length + 3).fill('same'));
    const table = await cli('compare', 'gemm.json', 'gemm.json');
    const count = verdicts.length;
    expect(table.stdout).toContain(`${count} quantities compared, ${count} within the noise`);

    const report = await cli('report', 'gemm.json', '--out', 'gemm.html');
    expect(report).toMatchObject({ code: 0, stdout: 'report: gemm.html\n' });
    expect(await readFile(join(folder, 'gemm.html'), 'utf8')).toContain('<svg');
    const figures = await cli('report', 'gemm.json', '--svg', 'figures');
    expect(figures).toMatchObject({ code: 0, stdout: 'figures/gemm-speedup.svg\nfigures/gemm.md\n' });
    expect(await readFile(join(folder, 'figures', 'gemm.md'), 'utf8')).toContain('| f32 x nvfp4 |');
  });
});

describe('the suites', () => {
  const run = async (...args: string[]): Promise<unknown> => {
    const { code, stdout, stderr } = await cli(...args, '--device', 'cpu', '--quick', '--json');
    expect({ code, stderr }).toMatchObject({ code: 0 });
    return JSON.parse(stdout);
  };

  it('quantize: bytes, and rates by them', async () => {
    const { rows, limits } = quantizeResults.parse(
      await run('quantize', '--shapes', '16,256', '--formats', 'nvfp4,int8-row'),
    );
    expect(rows.map(({ format, rotation, globalScale }) => [format, rotation, globalScale])).toEqual([
      ['nvfp4', null, 'found'],
      ['nvfp4', null, 'given'],
      ['nvfp4', 'hadamard(16)', 'found'],
      ['nvfp4', 'hadamard(16)', 'given'],
      ['int8-row', null, null],
      ['int8-row', 'hadamard(128)', null],
    ]);
    // 2 bytes read; 4.5 bits written, and the global scale; 8 bits and a float32 scale for each row.
    const sizes = { nvfp4: 16 * 256 * (2 + 4.5 / 8) + 4, 'int8-row': 16 * 256 * 3 + 16 * 4 };
    for (const { format, bytes, seconds, gigabytesPerSecond, copyFraction } of rows) {
      expect(bytes).toBe(sizes[format as keyof typeof sizes]);
      expect(gigabytesPerSecond).toBeCloseTo(bytes / seconds.median / 1e9, 6);
      expect(copyFraction).toBeCloseTo(bytes / seconds.median / limits.copyBandwidth.median, 6);
    }
  });

  it('layer: the whole and the product', async () => {
    const formats = 'bf16,nvfp4:nvfp4+16,int4-g128';
    const { rows } = layerResults.parse(await run('layer', '--shapes', '2,256,100', '--formats', formats));
    expect(rows.map(({ weight, activations, rotation }) => [weight, activations, rotation])).toEqual([
      ['f32', null, null],
      ['nvfp4', 'nvfp4', 'hadamard(16)'],
      ['int4-g128', null, null],
    ]);
    for (const { kernel } of rows) expect(kernel).toMatch(/^cpu\./);
  });

  it('decode: tokens, and the roofline by the bytes of a token', async () => {
    const args = ['--shape', 'tiny', '--layers', '1', '--context', '16', '--format', 'bf16,nvfp4'];
    const { rows, limits } = decodeResults.parse(await run('decode', ...args));
    expect(rows.map(({ model, layers, weights, context }) => [model, layers, weights, context])).toEqual([
      ['tiny', 1, 'f32', 16],
      ['tiny', 1, 'nvfp4', 16],
    ]);
    for (const { bytesPerToken, rooflineTokensPerSecond, rooflineFraction, tokensPerSecond } of rows) {
      expect(rooflineTokensPerSecond).toBeCloseTo(limits.readBandwidth.median / bytesPerToken, 3);
      expect(rooflineFraction).toBeCloseTo(tokensPerSecond.median / rooflineTokensPerSecond, 6);
    }
    expect(rows[1]!.bytesPerToken).toBeLessThan(rows[0]!.bytesPerToken);
  });

  it('host: the kernels of each operation', async () => {
    const { rows } = hostResults.parse(await run('host', '--formats', 'nvfp4,nvfp4:nvfp4'));
    expect(rows.map(({ operation, nodes }) => [operation, nodes])).toEqual([
      ['QuantLinear.forward nvfp4', 1],
      // The global scale, the codes, the product.
      ['QuantLinear.forward nvfp4 x nvfp4', 3],
      ['Graph.launch', 1],
      ['Graph.launch', 64],
    ]);
  });

  it('tune: measured times, in the file that was named', async () => {
    const args = ['--shapes', '1,2048,2048', '--formats', 'f32', '--cache', 'tuning.json'];
    const tuned = (await run('tune', ...args)) as {
      chosen: string;
      kernels: { measuredSeconds: number }[];
    }[];
    expect(tuned).toHaveLength(1);
    expect(tuned[0]!.chosen).toMatch(/^cpu\.f32\./);
    expect(tuned[0]!.kernels.some(({ measuredSeconds }) => measuredSeconds > 0)).toBe(true);
    expect(await readFile(join(folder, 'tuning.json'), 'utf8')).toContain('cpu.f32.');
  });
});

describe('qutlass-bench docs', () => {
  it('makes a page and figures of a folder of results, and tells what is out of date', async () => {
    const results = fileURLToPath(new URL('../results', import.meta.url));
    const made = await cli('docs', '--results', results, '--out', 'docs');
    expect(made.code).toBe(0);
    const page = await readFile(join(folder, 'docs', 'benchmarks.md'), 'utf8');
    for (const [, figure] of page.matchAll(/!\[[^\]]*\]\(([^)]+)\)/g)) {
      expect(await readFile(join(folder, 'docs', figure!), 'utf8')).toContain('<svg');
    }
    expect(await cli('docs', '--results', results, '--out', 'docs', '--check')).toMatchObject({ code: 0 });
    await writeFile(join(folder, 'docs', 'benchmarks.md'), 'old');
    expect(await cli('docs', '--results', results, '--out', 'docs', '--check')).toMatchObject({
      code: 1,
      stderr: 'error: out of date, run qutlass-bench docs: benchmarks.md\n',
    });
  });
});

it('docs/benchmarks.md is what the results files say', async () => {
  const [results, docs] = ['../results', '../../../docs'].map((path) =>
    fileURLToPath(new URL(path, import.meta.url)),
  );
  expect(await cli('docs', '--results', results!, '--out', docs!, '--check')).toMatchObject({
    code: 0,
    stderr: '',
  });
});

describe('qutlass-bench', () => {
  it.each([
    ['--help'],
    ['demo', '--help'],
    ['accuracy', '--help'],
    ...['gemm', 'quantize', 'layer', 'decode', 'host', 'tune'].map((name) => [name, '--help']),
    ...['compare', 'report', 'docs'].map((name) => [name, '--help']),
    [],
  ])('explains itself: %s %s', async (...args) => {
    const { code, stdout, stderr } = await cli(...args);
    expect(stdout).toMatch(/^Usage: qutlass-bench/);
    expect(stdout).toContain('Examples:');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  });

  it.each([
    [['--version-of'], "error QUTLASS_E_ARGUMENT: unknown option '--version-of'"],
    [['demo', '--jsn'], "error QUTLASS_E_ARGUMENT: unknown option '--jsn' (Did you mean --json?)"],
    [['dem'], "error QUTLASS_E_ARGUMENT: unknown command 'dem' (Did you mean demo?)"],
    [['report'], "error QUTLASS_E_ARGUMENT: missing required argument 'results'"],
    [['gemm', '--device', 'tpu'], "error QUTLASS_E_ARGUMENT: device: expected 'auto', 'cpu', 'cuda' or "],
    [['gemm', '--m', '0'], 'error QUTLASS_E_ARGUMENT: --m: expected numbers of rows'],
    [['quantize', '--shapes', '1,2,3'], 'error QUTLASS_E_ARGUMENT: --shapes: expected M,K;M,K;... '],
    [['layer', '--formats', 'nvfp4+a'], 'error QUTLASS_E_ARGUMENT: --formats: expected activations:weights+'],
    [['decode', '--shape', 'gpt-2'], 'error QUTLASS_E_ARGUMENT: model: expected one of tiny, llama-2-7b, '],
    [['decode', '--layers', '5'], 'error QUTLASS_E_ARGUMENT: --layers: expected at most 4 for tiny, got 5'],
    [['decode', '--context', '1000'], 'error QUTLASS_E_ARGUMENT: --context: expected at most 512, half of '],
    [['docs', '--results', 'none'], 'error QUTLASS_E_ARGUMENT: none: expected a readable folder, got ENOENT'],
    [['gemm', '--formats', 'fp3'], 'error QUTLASS_E_FORMAT: format: expected one of '],
    [['gemm', '--kernels', 'fast'], 'error QUTLASS_E_ARGUMENT: --kernels: expected some of '],
    [['gemm', '--shapes', '1,2'], 'error QUTLASS_E_ARGUMENT: --shapes: expected M,N,K;M,N,K;... '],
    [
      ['gemm', '--quick', '--shapes', '1,8,8', '--formats', 'nvfp4'],
      'error QUTLASS_E_SHAPE: x: expected K to be a multiple of 16',
    ],
    [['demo', '--model', 'missing'], 'error QUTLASS_E_CHECKPOINT: '],
    [
      ['demo', '--out', 'missing/a.json'],
      'error QUTLASS_E_ARGUMENT: missing/a.json: expected a path in a writable',
    ],
    [
      ['compare', 'a.json', 'b.json'],
      'error QUTLASS_E_ARGUMENT: a.json: expected a readable file, got ENOENT',
    ],
  ])('refuses %j in one line', async (args, message) => {
    const { code, stdout, stderr } = await cli(...args);
    const lines = stderr.trimEnd().split('\n');
    expect(lines.at(-1)?.slice(0, message.length)).toBe(message);
    expect(lines.filter((line) => line.startsWith('error'))).toHaveLength(1);
    expect(stderr).not.toContain('    at ');
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  });

  it('asks for a text where a model has no held-out tokens', async () => {
    const model = await mkdtemp(join(folder, 'model-'));
    const source = fileURLToPath(new URL('../../../testdata/models/tiny-llama/config.json', import.meta.url));
    await writeFile(join(model, 'config.json'), await readFile(source));
    const { code, stderr } = await cli('demo', '--model', model);
    expect(stderr).toContain('error QUTLASS_E_ARGUMENT: --text: expected a text, as ');
    expect(code).toBe(1);
  });
});
