import { expect, it } from 'vitest';
import { Device, matmul, Tensor } from '../src/index.js';

it('the event loop turns while a product is computed', async () => {
  using a = Tensor.zeros([512, 4096], 'bf16');
  using w = Tensor.zeros([4096, 4096], 'bf16');
  let turns = 0;
  let running = true;
  const turn = () => {
    turns += 1;
    if (running) setImmediate(turn);
  };
  setImmediate(turn);
  // Work for a tenth of a second or more, on any device.
  const products = Device.default.kind === 'cpu' ? 1 : 300;
  for (let i = 1; i < products; ++i) matmul(a, w).dispose();
  using out = matmul(a, w);
  expect(turns).toBe(0);
  const values = await out.toArray();
  running = false;
  // Had the product run on the event loop, or the read blocked it, there would be a turn or two.
  expect(turns).toBeGreaterThan(100);
  expect(values.every((bits) => bits === 0)).toBe(true);
});
