import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { USE_TEST_DEVICE } from '@qutlass/test-support';
import { describe, expect, it } from 'vitest';

// Processes and worker threads that load the library, and end while it is at work. They run the built package: a
// crash of theirs must not be one of the test runner.

const library = JSON.stringify(new URL('../dist/index.js', import.meta.url).href);

/** Enqueues work that takes longer than it takes to enqueue: x is 4 MiB, which a GPU transposes in some microseconds. */
const KEEP_BUSY = `
  const x = Tensor.zeros([1024, 1024], 'f32');
  for (let i = 0; i < (x.device.kind === 'cpu' ? 10 : 1000); ++i) transpose(x).dispose();
`;

/** Runs an ES module in a process of its own and returns what it prints; rejects on a signal or another exit code. */
async function run(program: string): Promise<string> {
  const source = `import { Device, Tensor, transpose } from ${library};\n${USE_TEST_DEVICE}\n${program}`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', source]);
  return stdout.trim();
}

/** Runs a module in worker threads; prints how many said "done" and the exit codes. */
const inWorkers = (count: number, program: string, whenDone = '') => `
  import { Worker } from 'node:worker_threads';
  const source = ${JSON.stringify(`
    import { parentPort } from 'node:worker_threads';
    import { Device, Tensor, transpose } from ${library};
    ${USE_TEST_DEVICE}
    ${program}
    parentPort.postMessage('done');
  `)};
  let done = 0;
  const codes = await Promise.all(Array.from({ length: ${count} }, () => new Promise((resolve, reject) => {
    const worker = new Worker(new URL('data:text/javascript,' + encodeURIComponent(source)));
    worker.on('message', () => { done += 1; ${whenDone} });
    worker.on('error', reject);
    worker.on('exit', resolve);
  })));
  console.log(done, codes.join(' '));
`;

describe('a process', () => {
  it('ends by itself, though a default stream exists', async () => {
    expect(await run(`const x = Tensor.zeros([1], 'f32'); console.log((await x.toArray())[0]);`)).toBe('0');
  });

  it('waits for a read that nobody awaits', async () => {
    expect(await run(`${KEEP_BUSY} x.toArray().then((values) => console.log(values.length));`)).toBe(
      '1048576',
    );
  });

  it('ends with work pending', async () => {
    expect(await run(`${KEEP_BUSY} console.log('end');`)).toBe('end');
  });

  it('ends at process.exit with a read pending', async () => {
    expect(await run(`${KEEP_BUSY} void x.toArray(); console.log('end'); process.exit(0);`)).toBe('end');
  });

  it('collects forgotten tensors', async () => {
    const program = `
      const { setFlagsFromString } = await import('node:v8');
      setFlagsFromString('--expose-gc');
      const collect = (await import('node:vm')).runInNewContext('gc');
      const device = Device.default;
      const before = device.memoryStats().allocations;
      (() => { for (let i = 0; i < 1000; ++i) Tensor.zeros([16], 'f32'); })();
      const during = device.memoryStats().allocations - before;
      for (let i = 0; i < 20 && device.memoryStats().allocations > before; ++i) {
        collect();
        await new Promise(setImmediate);
      }
      console.log(during > 0, device.memoryStats().allocations - before);
    `;
    expect(await run(program)).toBe('true 0');
  });
});

describe('worker threads', () => {
  it('load the library side by side and compute', async () => {
    const program = `
      const x = Tensor.from([1, 2, 3, 4], { shape: [2, 2] });
      const y = transpose(x);
      if (String(await y.toArray()) !== '1,3,2,4') throw new Error('wrong');
    `;
    expect(await run(inWorkers(4, program))).toBe('4 0 0 0 0');
  });

  it('share the library with the main thread', async () => {
    const main = `const mine = Tensor.from([7], { shape: [1] });`;
    const program = `const x = Tensor.from([1], { shape: [1] }); await x.toArray();`;
    expect(await run(`${main} ${inWorkers(2, program)} console.log((await mine.toArray())[0]);`)).toBe(
      '2 0 0\n7',
    );
  });

  it('end with work pending', async () => {
    expect(await run(inWorkers(4, KEEP_BUSY))).toBe('4 0 0 0 0');
  });

  it('end at process.exit of the worker with a read pending', async () => {
    const program = `${KEEP_BUSY} void x.toArray(); process.exit(5);`;
    expect(await run(inWorkers(4, program))).toBe('0 5 5 5 5');
  });

  it('are terminated from outside with a read pending', async () => {
    // Without the timer a worker whose read is over first would end by itself.
    const program = `${KEEP_BUSY} void x.toArray(); setInterval(() => {}, 1000);`;
    expect(await run(inWorkers(4, program, 'void worker.terminate();'))).toBe('4 1 1 1 1');
  });
});
