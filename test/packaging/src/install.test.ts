import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { nodeVersions } from '@qutlass/node-versions';
import ts from 'typescript';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Consumer } from './consumer.js';
import { attempt } from './run.js';
import { quickStart } from './workspace.js';

const executables = { [process.versions.node.split('.')[0] ?? '']: process.execPath, ...nodeVersions };

function toJavaScript(source: string): string {
  const compilerOptions = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 };
  return ts.transpileModule(source, { compilerOptions }).outputText;
}

describe.each(['npm', 'pnpm'] as const)('@qutlass/layers, installed by %s', (manager) => {
  let consumer: Consumer;
  beforeAll(async () => {
    consumer = new Consumer();
    await (manager === 'npm' ? consumer.npmInstall('@qutlass/layers') : consumer.pnpmAdd('@qutlass/layers'));
    consumer.write('quick-start.js', toJavaScript(quickStart()));
  });
  afterAll(() => consumer.dispose());

  it.each(Object.entries(executables))('runs the quick start on Node %s', async (_, node) => {
    const { stdout } = await consumer.run(node, 'quick-start.js');
    expect(stdout).toContain('[ 4, 512 ]');
    expect(stdout).toContain('nvfp4');
  });
});

describe('@qutlass/quant alone', () => {
  let consumer: Consumer;
  beforeAll(async () => {
    consumer = new Consumer();
    await consumer.npmInstall('@qutlass/quant');
  });
  afterAll(() => consumer.dispose());

  it('brings the kernels and no other package of ours', () => {
    expect(readdirSync(join(consumer.folder, 'node_modules', '@qutlass')).sort()).toEqual([
      'core-kernels',
      'core-kernels-linux-x64-gnu',
      'quant',
    ]);
  });

  it('keeps values that MXFP4 has', async () => {
    consumer.write(
      'round-trip.js',
      `import { Device, Tensor } from '@qutlass/quant';
       import { dequantize, mxfp4, quantize } from '@qutlass/quant';
       const values = [0, 0.5, 1, 1.5, 2, 3, 4, 6, 0, -0.5, -1, -1.5, -2, -3, -4, -6];
       const x = Tensor.from(Float32Array.from([...values, ...values]), {
         shape: [1, 32], dtype: 'f32', device: Device.open('cpu'),
       });
       const back = await dequantize(quantize(x, mxfp4())).toFloat32Array();
       console.log(JSON.stringify([...back.subarray(0, 16)]));`,
    );
    const { stdout } = await consumer.run(process.execPath, 'round-trip.js');
    expect(JSON.parse(stdout)).toEqual([0, 0.5, 1, 1.5, 2, 3, 4, 6, 0, -0.5, -1, -1.5, -2, -3, -4, -6]);
  });
});

describe('@qutlass/core-kernels without its binary package', () => {
  let consumer: Consumer;
  beforeAll(async () => {
    consumer = new Consumer();
    await consumer.npmInstall('--omit=optional', '@qutlass/core-kernels');
  });
  afterAll(() => consumer.dispose());

  it('says which command installs it', async () => {
    consumer.write('open.js', "import { Device } from '@qutlass/core-kernels';\nDevice.open('cpu');\n");
    const { status, stderr } = await attempt(process.execPath, ['open.js'], { cwd: consumer.folder });
    expect(status).toBe(1);
    expect(stderr).toContain("code: 'QUTLASS_E_BINARY'");
    expect(stderr).toContain('npm install --include=optional @qutlass/core-kernels-linux-x64-gnu');
  });
});
