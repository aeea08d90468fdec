import { basename } from 'node:path';
import type { Device } from '@qutlass/core-kernels';
import { readLlamaConfig } from '@qutlass/layers';
import type { Progress } from '../progress.js';
import type { EvaluatedModel, ModelRow, TextSample } from '../results/types.js';
import { expectedLoss } from './bundled.js';
import { heldOutIds } from './held-out.js';
import { measureVariant } from './measure.js';
import { QUICK_VARIANTS, VARIANTS, variantName } from './variants.js';

export interface ModelTableOptions {
  /** A model directory with dense weights. */
  directory: string;
  device: Device;
  /** A text file to evaluate on; default: the held-out tokens stored with the model. */
  textFile?: string | undefined;
  /** Fewer variants and shorter decoding; the evaluation itself is the same. */
  quick?: boolean;
  /** What the samples continue; default: no samples. */
  prompt?: string | undefined;
  signal?: AbortSignal;
  progress?: Progress;
}

export interface ModelTable {
  model: EvaluatedModel;
  rows: ModelRow[];
  /** From the unquantized model and from NVFP4. */
  samples: TextSample[];
}

/**
 * Evaluates a model unquantized and in every variant.
 * @throws QutlassError `QUTLASS_E_CHECKPOINT`, `QUTLASS_E_ARGUMENT`; the reason of the signal
 */
export async function measureModel(options: ModelTableOptions): Promise<ModelTable> {
  const { directory, device, textFile, quick = false, prompt, signal, progress } = options;
  const variants = quick ? QUICK_VARIANTS : VARIANTS;
  const { maxPositionEmbeddings } = await readLlamaConfig(directory);
  const window = Math.min(512, maxPositionEmbeddings);
  const ids = await heldOutIds(directory, textFile);
  const rows: ModelRow[] = [];
  const samples: TextSample[] = [];
  for (const [index, variant] of variants.entries()) {
    const name = variantName(variant);
    progress?.step(`${index + 1}/${variants.length} ${name}`);
    const { row, sample } = await measureVariant(
      directory,
      variant,
      {
        device,
        ids,
        window,
        roundings: quick ? 4 : 16,
        decode: quick ? { rounds: 3, tokens: 32 } : { rounds: 5, tokens: 64 },
        onProgress: (text) => progress?.detail(text),
        ...(signal && { signal }),
        ...(prompt !== undefined && showsText(name) && { sample: { prompt, tokens: 80 } }),
      },
      {
        unquantized: rows[0]?.loss ?? null,
        expected: textFile === undefined ? expectedLoss(directory, name) : null,
      },
    );
    rows.push(row);
    if (sample) samples.push(sample);
  }
  return { model: { name: basename(directory), tokens: ids.length - 1, window }, rows, samples };
}

function showsText(name: string): boolean {
  return name === 'unquantized' || name === 'nvfp4';
}
