import { execFile } from 'node:child_process';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Device } from '@qutlass/core-kernels';
import { FORMATS } from '@qutlass/quant';
import { describe, expect, it } from 'vitest';
import { failure, temporaryDirectory } from '../src/checkpoint/test-support.js';
import { evaluate, Llama, quantizeModel } from '../src/index.js';
import { device, editJson, tinyLlama, writeSmallModel } from './support.js';

// The command as users run it: the built package, in a process of its own.

const BIN = join(import.meta.dirname, '../bin/qutlass.mjs');

function qutlass(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [BIN, ...args],
      // The device of this run, whatever else the machine has.
      { env: { ...process.env, NO_COLOR: '1', ...(device.kind === 'cpu' && { QUTLASS_DEVICE: 'cpu' }) } },
      (error, stdout, stderr) => {
        resolve({ code: error ? Number(error.code) : 0, stdout, stderr });
      },
    );
  });
}

/** What the library says of a GPU that no machine has. */
const NO_DEVICE = (await failure(() => Device.open('cuda:1023'))).replace(' ', ': ');

describe('qutlass', () => {
  it('explains itself', async () => {
    const help = await qutlass('--help');
    expect(help).toMatchObject({ code: 0, stderr: '' });
    for (const command of ['doctor', 'inspect', 'quantize', 'eval', 'generate']) {
      expect(help.stdout).toMatch(new RegExp(`^  ${command} `, 'm'));
    }
    const quantize = await qutlass('quantize', '--help');
    expect(quantize.code).toBe(0);
    expect(quantize.stdout.replace(/\s+/g, ' ')).toContain(
      `Formats: ${FORMATS.map(({ name }) => name).join(', ')}`,
    );
    expect(await qutlass('--version')).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^\d+\.\d+\.\d+/),
    });
    const unknown = await qutlass('inspct', 'x');
    expect(unknown).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringContaining("unknown command 'inspct'"),
    });
  });

  it.concurrent.each<[string[], string]>([
    [['inspect', '/no/model'], 'QUTLASS_E_CHECKPOINT: /no/model: cannot be opened (ENOENT)'],
    [['generate', '/no/model', 'x'], 'QUTLASS_E_CHECKPOINT: /no/model/config.json: cannot be read (ENOENT)'],
    [['generate', tinyLlama, 'x', '-d', 'cuda:1023'], NO_DEVICE],
    [
      ['generate', tinyLlama, 'x', '-d', 'tpu'],
      `QUTLASS_E_ARGUMENT: device: expected 'auto', 'cpu', 'cuda' or 'cuda:<index>', got "tpu"`,
    ],
    [
      ['generate', tinyLlama, 'x', '-n', 'ten'],
      'QUTLASS_E_ARGUMENT: --max-tokens: expected a number, got "ten"',
    ],
    [
      ['generate', tinyLlama, 'x', '-n', '0'],
      'QUTLASS_E_ARGUMENT: maxTokens: expected a positive integer, got 0',
    ],
    [['generate', tinyLlama, 'x', '--seed', ''], 'QUTLASS_E_ARGUMENT: --seed: expected a number, got ""'],
    [
      ['generate', tinyLlama, 'x', '-r', 'hadamard:16'],
      'QUTLASS_E_ARGUMENT: --format: expected the name of a format with --rotation, got none',
    ],
    [
      ['generate', tinyLlama, 'x', '-f', 'int8', '-r', 'hadamard'],
      'QUTLASS_E_ARGUMENT: --rotation: expected hadamard:<size>[:<seed>] or identity, got "hadamard"',
    ],
    [['quantize', tinyLlama, '/no'], 'QUTLASS_E_ARGUMENT: --format: expected the name of a format, got none'],
    [
      ['quantize', tinyLlama, '/no', '-f', 'int3'],
      `QUTLASS_E_FORMAT: format: expected one of ${FORMATS.map(({ name }) => name).join(', ')}, got "int3"`,
    ],
    [['eval', tinyLlama, '-t', '/no/text'], 'QUTLASS_E_ARGUMENT: --text: cannot read /no/text (ENOENT)'],
    [['eval', tinyLlama, '-t', BIN, '-w', 'x'], 'QUTLASS_E_ARGUMENT: --window: expected a number, got "x"'],
    [
      ['eval', tinyLlama, '-t', BIN, '-w', '2000'],
      'QUTLASS_E_ARGUMENT: window: expected 1 to 1024, got 2000',
    ],
  ])('%j fails with one line', async (args, message) => {
    expect(await qutlass(...args)).toEqual({ code: 1, stdout: '', stderr: `error ${message}\n` });
  });

  it('survives a reader that leaves', async () => {
    const shell = `"${process.execPath}" "${BIN}" inspect "${tinyLlama}" --json | head -n 1; exit \${PIPESTATUS[0]}`;
    const result = await new Promise((resolve) => {
      execFile('bash', ['-c', shell], (error, stdout, stderr) => resolve({ error, stdout, stderr }));
    });
    expect(result).toEqual({ error: null, stdout: '{\n', stderr: '' });
  });
});

describe('qutlass doctor', () => {
  it('shows the machine', async () => {
    const { code, stdout, stderr } = await qutlass('doctor');
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toContain(process.version);
    expect(stdout).toContain('cpu.reference');
    const json = await qutlass('doctor', '--json');
    const report = JSON.parse(json.stdout);
    expect(report).toMatchObject({ ok: true, node: process.version, binary: { loaded: true } });
    expect(report.kernels.map(({ name }: { name: string }) => name)).toContain('cpu.reference');
    expect(report.precisions[0]).toMatchObject({ architecture: 'x64' });
    expect(report.precisions[0].pairs).toContainEqual({
      ...{ a: 'int8', b: 'int8' },
      ...{ precision: 'int8', native: true, products: 1 },
    });
  });
});

describe('qutlass inspect', () => {
  it('lists the tensors of a model', async () => {
    const { code, stdout } = await qutlass('inspect', tinyLlama);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^ ?model\.embed_tokens\.weight +BF16 +\[1024, 256\] +524 kB *$/m);
    expect(stdout).toContain(
      '39 tensors, 7.34 MB\nLlama: 4 layers, hidden 256, 4 heads (2 for keys and values), vocabulary 1024\n',
    );
    const json = JSON.parse((await qutlass('inspect', tinyLlama, '--json')).stdout);
    expect(json.tensors).toHaveLength(39);
    expect(json.config).toMatchObject({ numLayers: 4, eosTokenIds: [1] });
    expect(json.quantized).toEqual({});
  });

  it('lists a file, and a model that cannot be loaded', async () => {
    const file = await qutlass('inspect', join(tinyLlama, 'model.safetensors'));
    expect(file.stdout).toMatch(/\n39 tensors, 7\.34 MB\n$/);
    const directory = await temporaryDirectory();
    await writeSmallModel(directory);
    await editJson(join(directory, 'config.json'), (json) => {
      json.model_type = 'mamba';
    });
    const { code, stdout } = await qutlass('inspect', directory);
    expect(code).toBe(0);
    expect(stdout).toContain(
      `\n21 tensors, 49.5 kB\nnot loadable: ${directory}/config.json: model_type: expected "llama", got "mamba"\n`,
    );
  });
});

describe('qutlass quantize, eval and generate', () => {
  it('do what the library does', async () => {
    const directory = await temporaryDirectory();
    const target = join(directory, 'int4');
    const recipe = ['-f', 'int4-g32', '-a', 'int8', '-r', 'hadamard:32:5', '--exclude', 'lm_head', 'q_proj'];
    const quantized = await qutlass('quantize', tinyLlama, target, '--json', ...recipe);
    expect([quantized.code, quantized.stderr]).toEqual([0, '']);
    using model = await Llama.load(target, { device });
    expect(JSON.parse(quantized.stdout)).toEqual({
      output: target,
      format: 'int4-g32',
      bytes: model.byteLength,
    });
    expect(String(model.child('model.layers.0.mlp.up_proj'))).toBe(
      'QuantLinear(256 -> 768, int4-g32, activations int8-row, hadamard(32, seed 5), 5.00 bits per weight)',
    );
    expect(String(model.child('model.layers.0.self_attn.q_proj'))).toBe('Linear(256 -> 256, bf16)');
    expect(await readdir(target)).toContain('tokenizer.json');
    expect((await qutlass('inspect', target)).stdout).toMatch(/\nquantized: int4-g32\n$/);

    const text = await readFile(join(import.meta.dirname, 'cli.test.ts'), 'utf8');
    const textFile = join(directory, 'text.txt');
    await writeFile(textFile, text.slice(0, 2000));
    const ids = model.tokenizer?.encode(text.slice(0, 2000)) as number[];
    const expected = await evaluate(model, ids, { window: 256 });
    const { stdout } = await qutlass('eval', target, '-t', textFile, '--window', '256', '--json');
    expect(JSON.parse(stdout)).toEqual({ ...expected, seconds: expect.any(Number) });
    // Quantized on the way: the same model, from the dense one.
    const inMemory = await qutlass('eval', tinyLlama, '-t', textFile, '-w', '256', ...recipe);
    expect(inMemory.stdout).toBe(
      `loss ${expected.loss.toFixed(4)} nats, perplexity ${expected.perplexity.toFixed(3)}, ${ids.length - 1} tokens\n`,
    );

    let continued = 'def main(';
    for await (const token of model.generate(continued, { maxTokens: 12 })) continued += token.text;
    expect((await qutlass('generate', target, 'def main(', '-n', '12')).stdout).toBe(`${continued}\n`);
  });

  it('sample as the library does', async () => {
    using model = await Llama.load(tinyLlama, { device });
    await quantizeModel(model, { format: 'nvfp4' });
    let expected = 'import ';
    const options = { maxTokens: 10, temperature: 0.8, topK: 40, topP: 0.9, seed: 7 };
    for await (const token of model.generate(expected, options)) expected += token.text;
    const flags = ['-n', '10', '-t', '0.8', '--top-k', '40', '--top-p', '0.9', '--seed', '7', '-f', 'nvfp4'];
    expect((await qutlass('generate', tinyLlama, 'import ', ...flags)).stdout).toBe(`${expected}\n`);
  });

  it('needs a tokenizer for a text', async () => {
    const directory = await temporaryDirectory();
    await writeSmallModel(directory);
    expect(await qutlass('eval', directory, '-t', BIN)).toMatchObject({
      code: 1,
      stderr: `error QUTLASS_E_CHECKPOINT: ${directory}: expected a tokenizer.json, got none\n`,
    });
    using model = await Llama.load(directory, { device });
    const generated = model.generate('x');
    expect(await failure(() => generated.next())).toContain('as the model has no tokenizer');
    expect((await qutlass('generate', directory, 'x')).stderr).toContain('as the model has no tokenizer');
  });
});
