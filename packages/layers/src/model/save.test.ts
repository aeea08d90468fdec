import { readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FORMATS, formatByName, hadamard, identity, int4, int8, nvfp4, rotation } from '@qutlass/quant';
import { describe, expect, it } from 'vitest';
import {
  device,
  editJson,
  expectNoLeak,
  logitsOf,
  parameterBytes,
  tinyLlama,
  writeSmallModel,
} from '../../test/support.js';
import { failure, temporaryDirectory } from '../checkpoint/test-support.js';
import { TiedLinear } from '../modules/linear.js';
import { QuantLinear } from '../modules/quant-linear.js';
import { Llama } from './llama.js';
import { quantizeModel, type Recipe } from './quantize-model.js';
import { saveModel } from './save.js';

const TOKENS = [1, 2, 3, 40];

/** Quantizes a small model, saves it, and expects it to come back bit for bit; the directory. */
async function expectRoundTrip(
  recipe: Recipe | undefined,
  options: Parameters<typeof writeSmallModel>[1] = {},
  maxShardBytes?: number,
): Promise<string> {
  const [source, target] = [await temporaryDirectory(), await temporaryDirectory()];
  await writeSmallModel(source, options);
  using model = await Llama.load(source, { device });
  if (recipe) await quantizeModel(model, recipe);
  await saveModel(model, target, maxShardBytes === undefined ? {} : { maxShardBytes });
  using loaded = await Llama.load(target, { device });
  expect([...loaded.modules()].map(([path, module]) => [path, String(module)])).toEqual(
    [...model.modules()].map(([path, module]) => [path, String(module)]),
  );
  expect(await parameterBytes(loaded)).toEqual(await parameterBytes(model));
  expect(await logitsOf(loaded, TOKENS)).toEqual(await logitsOf(model, TOKENS));
  return target;
}

describe('a saved model comes back bit for bit', () => {
  it('dense, and with biases', async () => {
    const directory = await expectRoundTrip(undefined);
    await expectNoLeak(() => expectRoundTrip(undefined));
    const config = JSON.parse(await readFile(join(directory, 'config.json'), 'utf8'));
    expect(config.quantization_config).toBeUndefined();
    expect(config.tie_word_embeddings).toBe(false);
    await expectRoundTrip(undefined, { attention_bias: true, mlp_bias: true });
  });

  it.each(FORMATS.map(({ name }) => name))('%s', async (name) => {
    // 80 columns are no multiple of most groups, so weights are padded.
    await expectNoLeak(() => expectRoundTrip({ format: formatByName(name) }, { mlp_bias: true }));
  });

  it('rotated', async () => {
    const angle = 0.3;
    const plane = [Math.cos(angle), Math.sin(angle), -Math.sin(angle), Math.cos(angle)];
    for (const turn of [identity(), hadamard(16), hadamard(32, { seed: 9 }), rotation(plane, 2)]) {
      await expectRoundTrip({ format: nvfp4(), activations: nvfp4(), rotation: turn });
    }
  });

  it('in several ways at once, in shards', async () => {
    const directory = await expectRoundTrip(
      {
        format: int4({ group: 32, zeroPoint: true, scale: 'bf16' }),
        activations: int8({ zeroPoint: true }),
        rotation: hadamard(16),
        exclude: ['model.layers.0.mlp.up_proj'],
        overrides: [{ match: 'q_proj', format: 'mxfp4-abs_max' }],
      },
      {},
      4000,
    );
    const files = await readdir(directory);
    expect(files).toContain('model.safetensors.index.json');
    expect(files.length).toBeGreaterThan(4);
  });

  it('with tied embeddings', async () => {
    const directory = await expectRoundTrip({ format: int8() }, { tie_word_embeddings: true });
    using model = await Llama.load(directory, { device });
    expect(model.child('lm_head')).toBeInstanceOf(TiedLinear);

    const split = await expectRoundTrip({ format: int8(), exclude: [] }, { tie_word_embeddings: true });
    using loaded = await Llama.load(split, { device });
    expect(loaded.child('lm_head')).toBeInstanceOf(QuantLinear);
    const config = JSON.parse(await readFile(join(split, 'config.json'), 'utf8'));
    expect(config.tie_word_embeddings).toBe(false);
  });

  it('on top of itself, also quantized once more', async () => {
    const directory = await temporaryDirectory();
    await writeSmallModel(directory);
    using model = await Llama.load(directory, { device });
    await quantizeModel(model, { format: nvfp4(), include: ['down_proj'] });
    await saveModel(model, directory);
    using half = await Llama.load(directory, { device });
    expect(await parameterBytes(half)).toEqual(await parameterBytes(model));
    await quantizeModel(half, { format: int8(), include: ['up_proj'] });
    await saveModel(half, directory, { maxShardBytes: 4000 });
    using full = await Llama.load(directory, { device });
    expect(await parameterBytes(full)).toEqual(await parameterBytes(half));
    expect((await readdir(directory)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
    expect(await readdir(directory)).not.toContain('model.safetensors');
  });
});

describe('saveModel', () => {
  it('takes the other files along, and keeps what config.json says', async () => {
    using model = await Llama.load(tinyLlama, { device });
    await quantizeModel(model, { format: nvfp4() });
    const target = join(await temporaryDirectory(), 'new', 'directory');
    await saveModel(model, target);
    for (const name of ['tokenizer.json', 'tokenizer_config.json', 'generation_config.json']) {
      expect(await readFile(join(target, name))).toEqual(await readFile(join(tinyLlama, name)));
    }
    const { quantization_config: quantization, ...config } = JSON.parse(
      await readFile(join(target, 'config.json'), 'utf8'),
    );
    expect(config).toEqual(JSON.parse(await readFile(join(tinyLlama, 'config.json'), 'utf8')));
    expect(quantization).toMatchObject({ quant_method: 'qutlass', version: 1 });
    expect(Object.keys(quantization.modules)).toHaveLength(28);
    expect(quantization.modules['model.layers.0.mlp.down_proj']).toEqual({
      format: 'nvfp4',
      activations: null,
      in_features: 768,
    });
    using loaded = await Llama.load(target, { device });
    expect(loaded.config).toEqual(model.config);
    expect(loaded.tokenizer?.encode('def main')).toEqual(model.tokenizer?.encode('def main'));
  });

  it('needs a source, and changes nothing if it fails', async () => {
    const [source, target] = [await temporaryDirectory(), await temporaryDirectory()];
    await writeSmallModel(source);
    const model = await Llama.load(source, { device });
    await saveModel(model, target);
    const before = await readFile(join(target, 'config.json'));
    await editJson(join(source, 'config.json'), (json) => {
      json.extra = 1;
    });
    model.dispose();
    expect(await failure(() => saveModel(model, target))).toMatch(/^QUTLASS_E_DISPOSED /);
    expect(await readFile(join(target, 'config.json'))).toEqual(before);
    expect((await readdir(target)).sort()).toEqual(['config.json', 'model.safetensors']);

    using gone = await Llama.load(target, { device });
    await rm(join(target, 'config.json'));
    expect(await failure(() => saveModel(gone, source))).toBe(
      `QUTLASS_E_CHECKPOINT ${target}/config.json: cannot be read (ENOENT)`,
    );

    await writeFile(join(target, 'file'), '');
    using other = await Llama.load(source, { device });
    expect(await failure(() => saveModel(other, join(target, 'file')))).toBe(
      `QUTLASS_E_CHECKPOINT ${target}/file: cannot be created (EEXIST)`,
    );
    using orphan = new Llama(
      other.config,
      {
        embedTokens: other.child('model.embed_tokens') as never,
        layers: [],
        norm: other.child('model.norm') as never,
        lmHead: other.child('lm_head') as never,
      },
      { dtype: 'f32', device },
    );
    expect(await failure(() => saveModel(orphan, target))).toBe(
      'QUTLASS_E_ARGUMENT model: expected one loaded from a directory, got one made in memory',
    );
  });

  it('knows its own directory under another name', async () => {
    const [directory, links] = [await temporaryDirectory(), await temporaryDirectory()];
    await writeSmallModel(directory);
    await writeFile(join(directory, 'generation_config.json'), '{"eos_token_id": 3}');
    await symlink(directory, join(links, 'model'));
    using model = await Llama.load(directory, { device });
    await saveModel(model, join(links, 'model'));
    expect(await readFile(join(directory, 'generation_config.json'), 'utf8')).toBe('{"eos_token_id": 3}');
    using loaded = await Llama.load(directory, { device });
    expect(loaded.config.eosTokenIds).toEqual([3]);
  });
});
