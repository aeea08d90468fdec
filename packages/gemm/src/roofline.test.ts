import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { failure } from '../test/failure.js';
import { HARDWARE, type Precision, roofline } from './index.js';

const h200 = HARDWARE.find(({ name }) => name === 'H200')!;

describe('the roofline', () => {
  it('is the larger of two times', () => {
    // A row of int4 weights 8192 x 8192 is read at 4.8 TB/s, a square product multiplied at 989 TFLOP/s.
    const bytes = 8192 ** 2 / 2;
    expect(roofline(h200, { operations: 2 * 8192 ** 2, bytes, precision: 'bf16' })).toEqual({
      seconds: bytes / 4.8e12,
      memorySeconds: bytes / 4.8e12,
      computeSeconds: (2 * 8192 ** 2) / 989.4e12,
      intensity: 4,
      ridge: 989.4e12 / 4.8e12,
      bound: 'memory',
    });
    const square = roofline(h200, { operations: 2 * 8192 ** 3, bytes: 6 * 8192 ** 2, precision: 'bf16' });
    expect(square.bound).toBe('compute');
    expect(square.seconds).toBeCloseTo(1.1113e-3, 7);
  });

  it('turns at the ridge', () => {
    const positive = fc.double({ min: 1, max: 1e15, noNaN: true });
    const hardware = fc.constantFrom(...HARDWARE);
    fc.assert(
      fc.property(hardware, positive, positive, (gpu, operations, bytes) => {
        for (const precision of Object.keys(gpu.peak) as Precision[]) {
          const line = roofline(gpu, { operations, bytes, precision });
          expect(line.seconds).toBe(Math.max(line.memorySeconds, line.computeSeconds));
          // Where both are equal, rounding decides.
          if (Math.abs(line.intensity / line.ridge - 1) < 1e-12) continue;
          expect(line.bound).toBe(line.intensity < line.ridge ? 'memory' : 'compute');
          expect(line.seconds).toBe(line.bound === 'memory' ? line.memorySeconds : line.computeSeconds);
        }
      }),
    );
  });

  it('is for precisions that the hardware has', () => {
    expect(failure(() => roofline(h200, { operations: 1, bytes: 1, precision: 'fp4' }))).toBe(
      'QUTLASS_E_ARGUMENT precision: expected one of f32, f16, bf16, fp8, int8 on H200, got fp4',
    );
  });
});
