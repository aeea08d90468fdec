import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { memoryInUse } from '../test/failure.js';
import { NAMES } from '../test/kernels.js';
import {
  clearTuning,
  Device,
  explain,
  formatByName,
  hadamard,
  loadTuning,
  Tensor,
  type TuneProblem,
  type TuneProgress,
  tune,
} from './index.js';

const device = Device.default;
const quick = { device, rounds: 3, sampleSeconds: 1e-6 } as const;
const dense: TuneProblem = { m: 2, n: 48, k: 64, a: 'f32', b: 'f32' };
const integers: TuneProblem = { m: 3, n: 48, k: 64, a: formatByName('int8'), b: formatByName('int4-g32') };
let folder: string;
let cache: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'qutlass-tune-'));
  cache = join(folder, 'deep', 'tune.json');
});

afterEach(() => {
  clearTuning(device);
  rmSync(folder, { recursive: true });
});

describe('tuning', () => {
  it('measures kernels, chooses by that, and keeps it in a file', async () => {
    const before = memoryInUse();
    const kernels = Object.values(NAMES);
    const tuned = await tune([dense, integers], { ...quick, cache, kernels });
    expect(memoryInUse()).toEqual(before);
    expect(tuned.map(({ key }) => key)).toEqual([
      'f32 x f32 -> f32 [2, 48, 64]',
      'int8-row x int4-g32 -> bf16 [3, 48, 64]',
    ]);
    for (const { candidates, chosen } of tuned) {
      const measured = candidates.filter(({ measuredSeconds }) => measuredSeconds !== undefined);
      expect(measured).toHaveLength(2);
      const fastest = measured.reduce((x, y) => (y.measuredSeconds! < x.measuredSeconds! ? y : x));
      expect(fastest.measuredSeconds).toBeGreaterThan(0);
      expect(chosen).toBe(fastest.kernel.name);
    }
    using a = Tensor.zeros([2, 64], 'f32');
    using b = Tensor.zeros([48, 64], 'f32');
    const seconds = () => explain(a, b).candidates.map(({ measuredSeconds }) => measuredSeconds);
    const known = seconds();
    expect(known).toEqual(tuned[0]?.candidates.map(({ measuredSeconds }) => measuredSeconds));
    clearTuning(device);
    expect(seconds()).not.toEqual(known);
    expect(loadTuning(device, cache)).toBe(2);
    expect(seconds()).toEqual(known);
  });

  it('takes dense and rotated operands, and every dtype of results', async () => {
    const nvfp4 = formatByName('nvfp4');
    const rotation = hadamard(16);
    const tuned = await tune(
      [
        { m: 1, n: 32, k: 64, a: 'bf16', b: nvfp4, rotation, outDType: 'f32' },
        { m: 1, n: 32, k: 64, a: nvfp4, b: nvfp4, rotation },
      ],
      { ...quick, cache: false },
    );
    expect(tuned.map(({ key }) => key)).toEqual([
      'bf16 x nvfp4 rotated 16 -> f32 [1, 32, 64]',
      'nvfp4 x nvfp4 -> bf16 [1, 32, 64]',
    ]);
    for (const { chosen } of tuned) expect(chosen).toBeDefined();
    expect(existsSync(cache)).toBe(false);
  });

  it('measures what is worth it unless told otherwise', async () => {
    const [tuned] = await tune([{ ...dense, m: 256, n: 512 }], { ...quick, cache: false });
    const times = tuned!.candidates.flatMap(({ kernel, predictedSeconds }) =>
      predictedSeconds === undefined || kernel.onRequest ? [] : [predictedSeconds],
    );
    const fastest = Math.min(...times);
    for (const { kernel, predictedSeconds, measuredSeconds } of tuned!.candidates) {
      if (predictedSeconds === undefined || kernel.onRequest) continue;
      expect(measuredSeconds !== undefined).toBe(predictedSeconds <= 4 * fastest);
    }
  });

  it('adds kernels to what is known of others', async () => {
    await tune([dense], { ...quick, cache: false, kernels: [NAMES.dense] });
    const [tuned] = await tune([dense], { ...quick, cache: false, kernels: [NAMES.reference] });
    const measured = tuned!.candidates.filter(({ measuredSeconds }) => measuredSeconds !== undefined);
    expect(measured.map(({ kernel }) => kernel.name)).toEqual([NAMES.dense, NAMES.reference]);
  });

  it('tells how far it is', async () => {
    const reports: TuneProgress[] = [];
    await tune([dense, integers], { ...quick, cache: false, progress: (report) => reports.push(report) });
    expect(reports).toEqual([
      { done: 0, total: 2, problem: dense },
      { done: 1, total: 2, problem: integers },
      { done: 2, total: 2 },
    ]);
  });

  it('stops when asked to, and keeps what it has', async () => {
    const before = memoryInUse();
    const controller = new AbortController();
    const reason = new Error('enough');
    const tuning = tune([dense, integers], {
      ...quick,
      cache,
      signal: controller.signal,
      progress: ({ done }) => done === 1 && controller.abort(reason),
    });
    await expect(tuning).rejects.toBe(reason);
    expect(memoryInUse()).toEqual(before);
    clearTuning(device);
    expect(loadTuning(device, cache)).toBe(1);
  });

  it('refuses what it cannot do before it measures', async () => {
    const progress = () => expect.unreachable();
    await expect(tune([dense], { ...quick, cache, kernels: ['cpu.magic'], progress })).rejects.toThrow(
      /^kernel: expected one of .*cpu\.reference.*, got "cpu\.magic"$/,
    );
    const foreign = join(folder, 'foreign.json');
    writeFileSync(foreign, '{"schema":9}');
    await expect(tune([dense], { ...quick, cache: foreign, progress })).rejects.toThrow(
      `tuning cache ${foreign}: expected schema 1, got 9; tune again with another file, or remove this one`,
    );
    expect(readFileSync(foreign, 'utf8')).toBe('{"schema":9}');
  });

  it('passes on what the operands do not allow, and frees them', async () => {
    const before = memoryInUse();
    const wrong = { ...dense, k: 40, b: formatByName('nvfp4') };
    await expect(tune([wrong], { ...quick, cache: false })).rejects.toMatchObject({
      code: 'QUTLASS_E_SHAPE',
    });
    expect(memoryInUse()).toEqual(before);
  });
});
