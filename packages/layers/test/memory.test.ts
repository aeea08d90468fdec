import { scope, type Tensor } from '@qutlass/core-kernels';
import { hadamard, nvfp4 } from '@qutlass/quant';
import { expect, it } from 'vitest';
import { QuantLinear } from '../src/index.js';
import { device, randomTensor } from './support.js';

const PASSES = 10_000;
const BETWEEN = 100;
const MB = 2 ** 20;

/** Memory of the device and of the process after `passes` calls of `pass`. */
async function run(pass: () => void, passes: number) {
  for (let i = 0; i < passes; ++i) {
    pass();
    if (i % BETWEEN === 0) await device.synchronize();
  }
  await device.synchronize();
  const { allocated, reserved } = device.memoryStats();
  const { rss, external } = process.memoryUsage();
  return { allocated, reserved, rss, external };
}

it.each<[string, (forward: () => Tensor) => void]>([
  ['disposes its result', (forward) => forward().dispose()],
  ['runs in a scope', (forward) => scope(() => void forward())],
])('memory stays flat over 10,000 forward passes of a layer that %s', async (_, use) => {
  using weight = randomTensor([96, 200], 2);
  using layer = QuantLinear.from(weight, {
    format: nvfp4(),
    activations: nvfp4(),
    rotation: hadamard(16),
    bias: randomTensor([96]),
  });
  using x = randomTensor([4, 200], 3);
  const pass = () => use(() => layer.forward(x));
  const before = await run(pass, PASSES / 5);
  const after = await run(pass, PASSES);
  expect(after.allocated).toBe(before.allocated);
  // How far the host runs ahead of the stream varies, and with it what the pool holds.
  expect(after.reserved - before.reserved).toBeLessThan(4 * MB);
  // A leak of 1 kB per pass would be 10 MB.
  expect(after.external - before.external).toBeLessThan(2 * MB);
  expect(after.rss - before.rss).toBeLessThan(64 * MB);
});
