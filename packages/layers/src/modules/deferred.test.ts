import { rmsNorm, siluMul, type Tensor } from '@qutlass/core-kernels';
import { type Format, fp8, hadamard, int4, int8, mxfp4, nvfp4 } from '@qutlass/quant';
import { describe, expect, it } from 'vitest';
import { expectNoLeak, randomTensor } from '../../test/support.js';
import { Deferred } from './deferred.js';
import { Linear, LinearModule } from './linear.js';
import { GatedMLP } from './mlp.js';
import { QuantLinear, type QuantLinearOptions } from './quant-linear.js';
import { RMSNorm } from './rms-norm.js';

const ROWS = [1, 5, 20];

function quantLinear(outer: number, inner: number, options: QuantLinearOptions): QuantLinear {
  using weight = randomTensor([outer, inner], outer);
  return QuantLinear.from(weight, { ...options, bias: randomTensor([outer], outer + 1) });
}

/** What a norm defers, and in what way it is made, each time that it is. */
function observed(norm: RMSNorm, x: Tensor<'bf16'>, ways: string[]): Deferred<'bf16'> {
  const deferred = norm.defer(x);
  return new Deferred(x, {
    dense: () => {
      ways.push('dense');
      return deferred.dense();
    },
    quantized: (format: Format, options) => {
      ways.push(format.name);
      return deferred.quantized(format, options);
    },
  });
}

describe('an input that a norm has yet to make', () => {
  it.each<[string, string, () => LinearModule[]]>([
    ['is dense for a dense weight', 'dense', () => [new Linear(randomTensor([9, 128], 2))]],
    ['is dense for a quantized weight alone', 'dense', () => [quantLinear(9, 128, { format: nvfp4() })]],
    [
      'is quantized by the norm',
      'nvfp4',
      () => [quantLinear(9, 128, { format: nvfp4(), activations: nvfp4() })],
    ],
    [
      'is rotated and quantized by the norm',
      'mxfp4',
      () => [quantLinear(9, 128, { format: mxfp4(), activations: mxfp4(), rotation: hadamard(32) })],
    ],
    [
      'is quantized by the norm in whole rows',
      'int8-row',
      () => [quantLinear(9, 128, { format: int4({ group: 32 }), activations: int8() })],
    ],
    [
      'is padded, and quantized by the product',
      'dense',
      () => [quantLinear(9, 100, { format: mxfp4(), activations: mxfp4() })],
    ],
    [
      'is quantized once for layers that read it alike',
      'fp8-row',
      () => [40, 9].map((outer) => quantLinear(outer, 128, { format: fp8(), activations: fp8() })),
    ],
    [
      'is dense and made once for layers that do not',
      'dense',
      () => [int8(), null].map((activations) => quantLinear(9, 128, { format: int8(), activations })),
    ],
  ])('%s', async (_, way, make) => {
    await expectNoLeak(async () => {
      const layers = make();
      const inner = layers[0]!.inFeatures;
      using norm = new RMSNorm(randomTensor([inner], 3, 'bf16'), 1e-5);
      for (const rows of ROWS) {
        using x = randomTensor([rows, inner], 7, 'bf16');
        using dense = rmsNorm(x, norm.weight, norm.eps);
        const ways: string[] = [];
        const outs = LinearModule.forwardGroup(layers, observed(norm, x, ways));
        expect(ways).toEqual([way]);
        for (const [index, layer] of layers.entries()) {
          using out = outs[index]!;
          using expected = layer.forward(dense);
          using alone = layer.forward(norm.defer(x));
          expect(await alone.toArray()).toEqual(await expected.toArray());
          expect(await out.toArray()).toEqual(await expected.toArray());
        }
      }
      for (const layer of layers) layer.dispose();
    });
  });

  it('carries the residual stream', async () => {
    using layer = quantLinear(9, 128, { format: nvfp4(), activations: nvfp4() });
    using norm = new RMSNorm(randomTensor([128], 3, 'bf16'), 1e-5);
    using x = randomTensor([5, 128], 7, 'bf16');
    using residual = randomTensor([5, 128], 8, 'bf16');
    using sum = randomTensor([5, 128], 8, 'bf16');
    using dense = rmsNorm(x, norm.weight, norm.eps, sum);
    using expected = layer.forward(dense);
    using out = layer.forward(norm.defer(x, residual));
    expect(await out.toArray()).toEqual(await expected.toArray());
    expect(await residual.toArray()).toEqual(await sum.toArray());
  });
});

it.each([
  ['dense', null],
  ['mxfp4', mxfp4()],
] as const)('a gate is as if it were made first: activations %s', async (_, activations) => {
  await expectNoLeak(async () => {
    const options = { format: mxfp4(), activations };
    const gateProj = quantLinear(96, 64, options);
    const upProj = quantLinear(96, 64, options);
    const downProj = quantLinear(64, 96, options);
    using mlp = new GatedMLP(gateProj, upProj, downProj);
    for (const rows of ROWS) {
      using x = randomTensor([rows, 64], 7, 'bf16');
      using out = mlp.forward(x);
      using gate = gateProj.forward(x);
      using up = upProj.forward(x);
      using gated = siluMul(gate, up);
      using expected = downProj.forward(gated);
      expect(await out.toArray()).toEqual(await expected.toArray());
    }
  });
});
