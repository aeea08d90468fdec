import { expect, it } from 'vitest';
import { Device, loadBinding, Tensor } from '../src/index.js';

it('turns while a kernel runs', async () => {
  const native = loadBinding();
  const device = Device.default;
  const [m, n, k] = [512, 4096, 4096];
  using a = Tensor.zeros([m, k], 'f32', device);
  using b = Tensor.zeros([n, k], 'f32', device);
  using out = Tensor.empty([m, n], 'f32', device);
  const problem = [a.handle, b.handle, null, null, 1, null, null, out.handle, 0] as const;
  const kernel = native
    .kernels()
    .find(
      (kernel) =>
        kernel.device === device.kind &&
        kernel.available &&
        kernel.accumulator === 'f32' &&
        native.matmulSupported(kernel.index, ...problem) === null,
    );
  expect(kernel).toBeDefined();

  // Work for a tenth of a second or more, on any device.
  const products = device.kind === 'cpu' ? 1 : 300;
  for (let i = 0; i < products; ++i) native.matmul(device.stream.handle, kernel?.index ?? 0, ...problem);
  let running = true;
  const done = device.synchronize().then(() => {
    running = false;
  });
  let turns = 0;
  while (running) {
    await new Promise((resolve) => setImmediate(resolve));
    turns += 1;
  }
  await done;
  expect(turns).toBeGreaterThan(100);
});
