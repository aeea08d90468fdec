import { spawnSync } from 'node:child_process';
import { onCpu, USE_TEST_DEVICE } from '@qutlass/test-support';
import { expect, it } from 'vitest';

// A matrix product keeps the threads of the kernels busy, not only that of the stream, while its owner goes away. The
// built package runs in processes of its own, so that a crash of theirs is not one of the test runner.

const library = JSON.stringify(new URL('../dist/index.js', import.meta.url).href);

const MULTIPLY = `
  import { Device, loadBinding, Tensor } from ${library};
  const native = loadBinding();
  ${onCpu ? "Device.setDefault(Device.open('cpu', { threads: 2 }));" : USE_TEST_DEVICE}
  const { stream } = Device.default;
  function multiply(m) {
    const { device } = stream;
    const a = Tensor.zeros([m, 1024], 'f32', device);
    const out = Tensor.empty([m, m], 'f32', device);
    const problem = [a.handle, a.handle, null, null, 1, null, null, out.handle, 0];
    const kernel = native.kernels().find(
      (k) => k.device === device.kind && k.available && native.matmulSupported(k.index, ...problem) === null,
    );
    native.matmul(stream.handle, kernel.index, ...problem);
    a.dispose();
    return out;
  }
`;

/** Exit code, signal and output of an ES module in a process of its own. */
function run(program: string) {
  const { status, signal, stdout, stderr } = spawnSync(
    process.execPath,
    ['--input-type=module', '--eval', MULTIPLY + program],
    { encoding: 'utf8' },
  );
  return { status, signal, stdout: stdout.trim(), stderr };
}

const worker = (program: string) => `
  const { Worker } = await import('node:worker_threads');
  const source = 'data:text/javascript,' + encodeURIComponent(${JSON.stringify(MULTIPLY + program)});
`;

it('a process that exits while a product runs keeps its exit code', () => {
  const program = `for (let i = 0; i < 4; i++) void multiply(1024).toArray(); void stream.synchronize(); process.exit(7);`;
  expect(run(program)).toEqual({ status: 7, signal: null, stdout: '', stderr: '' });
});

it('a process that fails while a product runs reports its own error', () => {
  const { status, signal, stderr } = run(`void multiply(1024).toArray(); throw new Error('of its own');`);
  expect([status, signal]).toEqual([1, null]);
  expect(stderr).toContain('Error: of its own');
});

it('workers terminated while their products run leave the main thread at work', () => {
  const inside = `
    const { parentPort } = await import('node:worker_threads');
    for (let i = 0; i < 4; i++) void multiply(1024).toArray();
    parentPort.postMessage('enqueued');
  `;
  const program = `${worker(inside)}
    const mine = multiply(512);
    const codes = await Promise.all(Array.from({ length: 4 }, () => new Promise((resolve, reject) => {
      const thread = new Worker(new URL(source));
      thread.on('message', () => void thread.terminate());
      thread.on('error', reject);
      thread.on('exit', resolve);
    })));
    const values = await mine.toArray();
    console.log(codes.join(' '), values.every((v) => v === 0));
  `;
  expect(run(program)).toEqual({ status: 0, signal: null, stdout: '1 1 1 1 true', stderr: '' });
});
