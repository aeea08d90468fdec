import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { QutlassError } from '@qutlass/core-kernels';

const NAME = 'tiny-llama';

/** As far up from src/model as from dist, but for one folder. */
const PLACES = ['../../../testdata/models', '../../../../testdata/models'];

function findBundled(): string | undefined {
  const paths = PLACES.map((folder) => fileURLToPath(new URL(`${folder}/${NAME}`, import.meta.url)));
  return paths.find((path) => existsSync(path));
}

/**
 * The small Llama of the repository, for a command that was given no model.
 * @throws QutlassError `QUTLASS_E_CHECKPOINT` outside of the repository, where it does not come along
 */
export function bundledModel(): string {
  const path = findBundled();
  if (path !== undefined) return path;
  throw new QutlassError(
    'QUTLASS_E_CHECKPOINT',
    `model: the bundled ${NAME} is part of the repository only; pass a directory with --model`,
  );
}

/** Loss of the bundled model by float64 arithmetic on its weights as quantized by an independent implementation. */
const BUNDLED_LOSSES: Readonly<Record<string, number>> = {
  unquantized: 1.96245,
  'int8-row': 1.9626,
  mxfp8: 1.9651,
  'fp8-row': 1.9689,
  'int4-g32': 1.9977,
  nvfp4: 2.0046,
  mxfp4: 2.0211,
};

/** A share of what the 4-bit formats cost, and far above what the order of float32 sums changes. */
export const LOSS_TOLERANCE = 0.004;

/** The loss on its held-out tokens that the model in this directory should have as the named variant, if one is known. */
export function expectedLoss(directory: string, variant: string): number | null {
  return resolve(directory) === findBundled() ? (BUNDLED_LOSSES[variant] ?? null) : null;
}
