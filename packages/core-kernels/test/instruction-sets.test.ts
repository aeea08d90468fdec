import { spawnSync } from 'node:child_process';
import { expect, it } from 'vitest';

// Operations that have loops for several instruction sets give the same bits on each. The environment variable is read
// once, so every set takes a process of its own; a machine that lacks one runs what it has.

const library = JSON.stringify(new URL('../dist/index.js', import.meta.url).href);

const PROGRAM = `
  import { createHash } from 'node:crypto';
  import { attention, Device, rmsNorm, Tensor } from ${library};
  const device = Device.open('cpu', { threads: 2 });
  const random = (shape, dtype, seed) => Tensor.random(shape, { dtype, device, seed });
  const hash = createHash('sha256');
  for (const dtype of ['f32', 'bf16']) {
    for (const [tokens, heads, kvHeads, headDim] of [[1, 4, 2, 64], [7, 6, 3, 40], [70, 2, 2, 128]]) {
      const q = random([tokens, heads, headDim], dtype, 1);
      const k = random([90, kvHeads, headDim], dtype, 2);
      const v = random([90, kvHeads, headDim], dtype, 3);
      const positions = Tensor.from(Int32Array.from({ length: tokens }, (_, i) => 19 + i), {
        shape: [tokens], dtype: 'i32', device,
      });
      const out = attention(q, k, v, positions, headDim ** -0.5);
      hash.update(await out.toBytes());
      const x = q.reshape([tokens, heads * headDim]);
      hash.update(await rmsNorm(x, random([heads * headDim], 'f32', 4), 1e-5).toBytes());
    }
  }
  console.log(device.info.isa, hash.digest('hex'));
`;

function run(isa: string) {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', PROGRAM], {
    encoding: 'utf8',
    env: { ...process.env, QUTLASS_ISA: isa },
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  const [used, digest] = stdout.trim().split(' ');
  return { used, digest };
}

it('attention and norms are the same to the bit', () => {
  const results = ['generic', 'avx2', 'avx512', 'avx512bf16', 'amx'].map(run);
  expect(results[0]?.used).toBe('generic');
  expect(new Set(results.map(({ digest }) => digest)).size).toBe(1);
});
