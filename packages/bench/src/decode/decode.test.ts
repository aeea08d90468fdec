import { Device, DTYPES } from '@qutlass/core-kernels';
import { QuantLinear } from '@qutlass/layers';
import { expect, it } from 'vitest';
import { denseDType } from '../gemm/operands.js';
import { parseVariant } from '../model/variants.js';
import { modelConfig } from '../models.js';
import { createRandomLlama } from './random-model.js';
import { bytesPerToken, stepBytes } from './roofline.js';

const device = Device.default;
const { bytes: width } = DTYPES[denseDType(device)];
const config = modelConfig('tiny', 2);

it('makes models whose logits are finite and whose layers have the format', async () => {
  using model = await createRandomLlama(config, parseVariant('int8-row:int4-g128'), device);
  const quantized = [...model.modules()].filter(([, module]) => module instanceof QuantLinear);
  expect(quantized).toHaveLength(2 * 7);
  const tokens: number[] = [];
  for await (const { id } of model.generate([1, 2, 3], { maxTokens: 4, stopAtEos: false })) tokens.push(id);
  // The id of a token drawn from NaN would be the first one every time.
  expect(tokens).toHaveLength(4);
  expect(new Set(tokens).size).toBeGreaterThan(1);
});

it('repeats itself', async () => {
  const text = async () => {
    using model = await createRandomLlama(config, parseVariant('nvfp4'), device);
    const tokens: number[] = [];
    for await (const { id } of model.generate([7], { maxTokens: 8, stopAtEos: false })) tokens.push(id);
    return tokens;
  };
  expect(await text()).toEqual(await text());
});

it('counts the bytes that a token reads', async () => {
  using model = await createRandomLlama(config, parseVariant('f32'), device);
  const attention = 256 * (256 + 128 + 128) + 256 * 256;
  const layer = attention + 3 * 256 * 768 + 2 * 256;
  const read = 2 * layer + 256 + 1024 * 256 + 256;
  const cache = 2 * 2 * 128 * 100;
  const step = stepBytes(model, 100);
  expect(bytesPerToken(step)).toBe(width * (read + cache));
  expect(step).toMatchObject({
    headBytes: width * 1024 * 256,
    cacheBytes: width * cache,
    // Twelve vectors of the residual stream and six of each other kind; the ends of the model.
    activationBytes: width * (2 * (12 * 256 + 6 * (256 + 128 + 768)) + 6 * 256 + 2 * 1024),
  });
});

it('quantizes the head if asked to', async () => {
  using model = await createRandomLlama(config, parseVariant('nvfp4'), device, { quantizeHead: true });
  expect(model.child('lm_head')).toBeInstanceOf(QuantLinear);
  using dense = await createRandomLlama(config, parseVariant('nvfp4'), device);
  const [own, other] = [stepBytes(model, 1), stepBytes(dense, 1)];
  expect(own.headBytes).toBeLessThan(other.headBytes);
  expect({ ...own, headBytes: 0 }).toEqual({ ...other, headBytes: 0 });
});

it('stops when asked to, and frees what there is', async () => {
  // What the tests before freed.
  await device.synchronize();
  const { allocated } = device.memoryStats();
  const signal = AbortSignal.abort(new Error('enough'));
  await expect(createRandomLlama(config, parseVariant('nvfp4'), device, { signal })).rejects.toThrow(
    'enough',
  );
  await device.synchronize();
  expect(device.memoryStats().allocated).toBe(allocated);
});
