import { invalidArgument } from '@qutlass/core-kernels';

/** Checks that a model with so many tokens knows the ids. @throws QutlassError `QUTLASS_E_ARGUMENT` */
export function requireTokenIds(name: string, ids: ArrayLike<number>, vocabSize: number): void {
  for (let i = 0; i < ids.length; ++i) {
    const id = ids[i] as number;
    if (Number.isInteger(id) && id >= 0 && id < vocabSize) continue;
    throw invalidArgument(
      'QUTLASS_E_ARGUMENT',
      `${name}[${i}]`,
      `a token id from 0 to ${vocabSize - 1}`,
      String(id),
    );
  }
}
