import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { invalidArgument } from '@qutlass/core-kernels';
import { SafetensorsFile, Tokenizer } from '@qutlass/layers';

const REFERENCE_FILE = 'reference.safetensors';
const TENSOR = 'heldout_ids';

/**
 * The token ids that a model is evaluated on: those of a text file, or `heldout_ids` of the `reference.safetensors` beside
 * the weights.
 * @throws QutlassError `QUTLASS_E_ARGUMENT` if there is neither, or the text is too short; `QUTLASS_E_CHECKPOINT`
 */
export async function heldOutIds(directory: string, textFile?: string): Promise<Int32Array> {
  return textFile === undefined ? storedIds(directory) : textIds(directory, textFile);
}

async function storedIds(directory: string): Promise<Int32Array> {
  const path = join(directory, REFERENCE_FILE);
  if (!existsSync(path)) {
    throw invalidArgument(
      'QUTLASS_E_ARGUMENT',
      '--text',
      `a text, as ${directory} has no ${REFERENCE_FILE}`,
      'none',
    );
  }
  await using file = await SafetensorsFile.open(path);
  if (!file.has(TENSOR) || file.info(TENSOR).dtype !== 'I32') {
    throw invalidArgument(
      'QUTLASS_E_ARGUMENT',
      '--text',
      `a text, as ${path} has no I32 tensor ${TENSOR}`,
      'none',
    );
  }
  return new Int32Array((await file.read(TENSOR)).buffer);
}

async function textIds(directory: string, textFile: string): Promise<Int32Array> {
  const text = await readFile(textFile, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw invalidArgument('QUTLASS_E_ARGUMENT', '--text', 'a readable file', `${textFile} (${error.code})`);
  });
  const tokenizer = await Tokenizer.load(directory);
  const ids = Int32Array.from(tokenizer.encode(text));
  if (ids.length < 2) {
    throw invalidArgument('QUTLASS_E_ARGUMENT', '--text', 'a text of at least 2 tokens', `${ids.length}`);
  }
  return ids;
}
