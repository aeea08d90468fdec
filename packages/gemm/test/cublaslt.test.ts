import { expect, it } from 'vitest';
import { formatByName, type KernelInfo, loadBinding, matmul, quantize, Tensor } from '../src/index.js';
import { failure } from './failure.js';

// What can be said of cuBLASLt on every machine. Where a GPU and the library are there, the conformance suite runs it.

const kernels = loadBinding().kernels();
const cublaslt = kernels.filter(({ name }) => name.startsWith('cublaslt.'));

/** A product that the kernel would take. */
function run({ name }: KernelInfo): string {
  using x = Tensor.from(new Float32Array(16 * 32).fill(1), { shape: [16, 32] });
  const format = name.includes('fp8') ? 'fp8' : name.includes('int8') ? 'int8' : undefined;
  if (!format) return failure(() => matmul(x, x, { kernel: name }));
  using q = quantize(x, formatByName(format));
  return failure(() => matmul(q, q, { kernel: name }));
}

it('comes after the kernels of this library for CUDA, in every build that has them', () => {
  const cuda = kernels.filter(({ device }) => device === 'cuda').map(({ name }) => name);
  const own = cuda.filter((name) => name.startsWith('cuda.'));
  const expected = ['bf16', 'f32', 'fp8', 'fp8.fast', 'int8'].map((name) => `cublaslt.${name}`);
  expect(cuda).toEqual(own.length ? [...own, ...expected] : []);
});

it('uses less precise sums only on request', () => {
  for (const kernel of kernels) expect(kernel.onRequest, kernel.name).toBe(kernel.accumulator === 'f22');
});

it('says what is missing where it is not available', () => {
  for (const kernel of cublaslt.filter(({ available }) => !available)) {
    const [architecture, library] = kernel.requiresIsa.split(', ');
    expect([architecture, library]).toEqual([expect.stringMatching(/^sm_8\d$/), 'cuBLASLt']);
    expect(run(kernel)).toMatch(
      new RegExp(
        `^QUTLASS_E_UNSUPPORTED ${kernel.name}: (requires ${architecture}, cuBLASLt, which this machine lacks|` +
          'cuBLASLt: libcublasLt.so.13 and libcublasLt.so.12 were not found; install cuBLAS, or set ' +
          'QUTLASS_CUBLASLT_PATH|QUTLASS_CUBLASLT_PATH: )',
      ),
    );
  }
});
