// Loads a model, quantizes it, saves it, loads it again and lets it write. Without arguments it takes the bundled model and
// NVFP4, and saves to a temporary folder.
//
//     node quantize-model.mjs [model directory] [output directory] [format]
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Llama, quantizeModel, saveModel } from '@qutlass/layers';

const [
  input = join(import.meta.dirname, '..', 'testdata', 'models', 'tiny-llama'),
  output = await mkdtemp(join(tmpdir(), 'qutlass-')),
  format = 'nvfp4',
] = process.argv.slice(2);

const model = await Llama.load(input);
console.log(`${input}: ${(model.byteLength / 1e6).toFixed(2)} MB`);

const layers = await quantizeModel(model, { format, exclude: ['lm_head'] });
await saveModel(model, output);
console.log(`${output}: ${layers.length} layers in ${format}, ${(model.byteLength / 1e6).toFixed(2)} MB`);
model.dispose();

const loaded = await Llama.load(output);
for await (const { text } of loaded.generate('def main(', { maxTokens: 48 })) process.stdout.write(text);
process.stdout.write('\n');
loaded.dispose();
