import { type Format, hadamard, int4, int8, mxfp4, nvfp4 } from '@qutlass/gemm';
import { dequantize } from '@qutlass/quant';
import { describe, expect, it } from 'vitest';
import { device, expectNoLeak, expectProduct, ids, randomTensor, randomValues } from '../../test/support.js';
import { failure } from '../checkpoint/test-support.js';
import { QuantExperts } from './quant-experts.js';
import { QuantLinear } from './quant-linear.js';

const [EXPERTS, INNER, OUTER, ROWS] = [4, 33, 20, 9];
const OFFSETS = [0, 3, 3, 8, 9];

describe('QuantExperts', () => {
  it.each([mxfp4(), nvfp4(), int4({ group: 32, zeroPoint: true }), int8()] as Format[])(
    'gives each expert its rows, $name',
    async (format) => {
      using weight = randomTensor([EXPERTS, OUTER, INNER], 2);
      using layer = QuantExperts.from(weight, { format, bias: randomTensor([EXPERTS, OUTER], 3) });
      using x = randomTensor([ROWS, INNER], 4);
      using offsets = ids(OFFSETS);
      using out = layer.forward(x, offsets);
      expect(out.shape).toEqual([ROWS, OUTER]);
      using dense = dequantize(layer.weight);
      const [cols, w, values] = [layer.weight.cols, await dense.toFloat32Array(), await out.toFloat32Array()];
      const [a, bias] = [randomValues(ROWS * INNER, 4), randomValues(EXPERTS * OUTER, 3)];
      for (let expert = 0; expert < EXPERTS; ++expert) {
        const [begin, end] = [OFFSETS[expert]!, OFFSETS[expert + 1]!];
        const padded = new Float32Array((end - begin) * cols);
        for (let row = begin; row < end; ++row)
          padded.set(a.subarray(row * INNER, (row + 1) * INNER), (row - begin) * cols);
        expectProduct(
          values.subarray(begin * OUTER, end * OUTER),
          padded,
          w.subarray(expert * OUTER * cols, (expert + 1) * OUTER * cols),
          { rows: end - begin, cols: OUTER, inner: cols },
          { bias: bias.subarray(expert * OUTER, (expert + 1) * OUTER), relative: 2 ** -20 },
        );
      }
    },
  );

  it('quantizes and rotates its input as a linear layer does', async () => {
    const options = { format: int8(), activations: int8(), rotation: hadamard(16) };
    using weight = randomTensor([1, OUTER, INNER], 2);
    using layer = QuantExperts.from(weight, options);
    using linear = QuantLinear.from(weight.reshape([OUTER, INNER]), options);
    using x = randomTensor([ROWS, INNER], 4);
    using offsets = ids([0, ROWS]);
    using out = layer.forward(x, offsets);
    using expected = linear.forward(x);
    // Sums of integers are exact, whatever kernel adds them.
    expect(await out.toArray()).toEqual(await expected.toArray());
  });

  it('prepares its weight once, and shows what it is', () => {
    using weight = randomTensor([EXPERTS, OUTER, 32], 2);
    using layer = QuantExperts.from(weight, { format: mxfp4() });
    const { prepared } = layer;
    using x = randomTensor([2, 32]);
    using offsets = ids([0, 1, 1, 2, 2]);
    for (let i = 0; i < 3; ++i) layer.forward(x, offsets).dispose();
    expect(layer.prepared).toBe(prepared);
    expect(`${layer}`).toBe('QuantExperts(4 x 32 -> 20, mxfp4, 4.25 bits per weight)');
    expect([...layer.parameters()].map(([name]) => name)).toEqual(['weight']);
    layer.dispose();
    expect(prepared.disposed).toBe(true);
  });

  it('refuses what does not fit, and leaves nothing behind', async () => {
    using weight = randomTensor([EXPERTS, OUTER, 32], 2);
    using layer = QuantExperts.from(weight, { format: nvfp4() });
    using matrix = weight.reshape([EXPERTS * OUTER, 32]);
    using x = randomTensor([2, 31]);
    using good = randomTensor([2, 32]);
    using offsets = ids([0, 1, 2]);
    using bias = randomTensor([OUTER]);
    await expectNoLeak(async () => {
      expect(await failure(() => QuantExperts.from(matrix, { format: nvfp4() }))).toBe(
        'QUTLASS_E_SHAPE weight: expected shape [experts, outFeatures, inFeatures], got [80, 32]',
      );
      expect(await failure(() => QuantExperts.from(weight, { format: nvfp4(), bias }))).toBe(
        'QUTLASS_E_SHAPE bias: expected shape [4, 20], got [20]',
      );
      expect(await failure(() => QuantExperts.from(weight, { format: nvfp4(), activations: int8() }))).toBe(
        'QUTLASS_E_FORMAT activations: expected a format that multiplies with nvfp4, got int8-row',
      );
      expect(
        await failure(() => new QuantExperts({ weight: layer.weight, experts: 3, inFeatures: 32 })),
      ).toBe('QUTLASS_E_SHAPE experts: expected a number that divides the 80 rows of the weight, got 3');
      expect(await failure(() => layer.forward(x, offsets))).toBe(
        'QUTLASS_E_SHAPE x: expected shape [T, 32], got [2, 31]',
      );
      expect(await failure(() => layer.forward(good, offsets))).toBe(
        'QUTLASS_E_SHAPE offsets: expected shape [5], got [3]',
      );
    });
    layer.dispose();
    expect(await failure(() => layer.forward(good, offsets))).toMatch(/^QUTLASS_E_DISPOSED/);
    await device.synchronize();
  });
});
