import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { modelRowName } from '../src/results/names.js';
import { demoResults, gemmResults } from '../src/results/schema.js';

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
    const { rows } = gemmResults.parse(JSON.parse(measured.stdout));
    const chosen = rows.filter((row) => row.chosen);
    expect(chosen.map(({ a, weight, cache }) => `${a} x ${weight} ${cache}`)).toEqual([
      ...['f32 x f32 hot', 'f32 x f32 cold', 'f32 x nvfp4 hot', 'f32 x nvfp4 cold'],
      ...['int8-row x int4-g128 hot', 'int8-row x int4-g128 cold'],
    ]);
    for (const { m, n, k, gops, seconds, weightBytes, weightGigabytesPerSecond } of rows) {
      expect(gops).toBeCloseTo((2 * m * n * k) / seconds.median / 1e9, 6);
      expect(weightGigabytesPerSecond).toBeCloseTo(weightBytes / seconds.median / 1e9, 6);
    }
    // 4.5 bits per element and the global scale.
    expect(rows.find(({ weight }) => weight === 'nvfp4')?.weightBytes).toBe((256 * 256 * 4.5) / 8 + 4);

    const same = await cli('compare', 'gemm.json', 'gemm.json', '--json');
    expect(JSON.parse(same.stdout).compared.map((entry: { verdict: string }) => entry.verdict)).toEqual(
      rows.map(() => 'same'),
    );
    const table = await cli('compare', 'gemm.json', 'gemm.json');
    expect(table.stdout).toContain(`${rows.length} quantities compared, ${rows.length} within the noise`);

    const report = await cli('report', 'gemm.json', '--out', 'gemm.html');
    expect(report).toMatchObject({ code: 0, stdout: 'report: gemm.html\n' });
    expect(await readFile(join(folder, 'gemm.html'), 'utf8')).toContain('<svg');
  });
});

describe('qutlass-bench', () => {
  it.each([
    ['--help'],
    ['demo', '--help'],
    ['accuracy', '--help'],
    ['gemm', '--help'],
    ['compare', '--help'],
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
    [['gemm', '--formats', 'fp3'], 'error QUTLASS_E_FORMAT: format: expected one of '],
    [['gemm', '--kernels', 'fast'], 'error QUTLASS_E_ARGUMENT: --kernels: expected some of '],
    [['gemm', '--shapes', '1,2'], 'error QUTLASS_E_ARGUMENT: --shapes: expected M,N,K;M,N,K;... '],
    [
      ['gemm', '--shapes', '1,8,8', '--formats', 'nvfp4'],
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
