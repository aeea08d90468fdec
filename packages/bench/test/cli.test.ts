import { once } from 'node:events';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { modelRowName } from '../src/results/names.js';
import { demoResults, gemmResults } from '../src/results/schema.js';
import { commandLine } from './command-line.js';

const { folder, start, cli } = commandLine();

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
    const report = await readFile(join(folder(), 'qutlass-report.html'), 'utf8');
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
    expect(measured.stdout).toBe(await readFile(join(folder(), 'gemm.json'), 'utf8'));
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
    expect(await readFile(join(folder(), 'gemm.html'), 'utf8')).toContain('<svg');
    const figures = await cli('report', 'gemm.json', '--svg', 'figures');
    expect(figures).toMatchObject({ code: 0, stdout: 'figures/gemm-speedup.svg\nfigures/gemm.md\n' });
    expect(await readFile(join(folder(), 'figures', 'gemm.md'), 'utf8')).toContain('| f32 x nvfp4 |');
  });
});

describe('qutlass-bench docs', () => {
  it('makes a page and figures of a folder of results, and tells what is out of date', async () => {
    const results = fileURLToPath(new URL('../results', import.meta.url));
    const made = await cli('docs', '--results', results, '--out', 'docs');
    expect(made.code).toBe(0);
    const page = await readFile(join(folder(), 'docs', 'benchmarks.md'), 'utf8');
    for (const [, figure] of page.matchAll(/!\[[^\]]*\]\(([^)]+)\)/g)) {
      expect(await readFile(join(folder(), 'docs', figure!), 'utf8')).toContain('<svg');
    }
    expect(await cli('docs', '--results', results, '--out', 'docs', '--check')).toMatchObject({ code: 0 });
    await writeFile(join(folder(), 'docs', 'benchmarks.md'), 'old');
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
    ...['gemm', 'quantize', 'layer', 'decode', 'host', 'peers-cpu', 'tune'].map((name) => [name, '--help']),
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
    [['decode', '--head', 'int4'], 'error QUTLASS_E_ARGUMENT: --head: expected dense, same, got "int4"'],
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
    const model = await mkdtemp(join(folder(), 'model-'));
    const source = fileURLToPath(new URL('../../../testdata/models/tiny-llama/config.json', import.meta.url));
    await writeFile(join(model, 'config.json'), await readFile(source));
    const { code, stderr } = await cli('demo', '--model', model);
    expect(stderr).toContain('error QUTLASS_E_ARGUMENT: --text: expected a text, as ');
    expect(code).toBe(1);
  });
});
