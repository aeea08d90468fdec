interface Coded extends Error {
  code: string;
}

const text = (error: unknown): string => {
  if (error instanceof Error && error.name === 'QutlassError')
    return `${(error as Coded).code} ${error.message}`;
  throw error;
};

/** Code and message of the QutlassError that `action` throws. */
export function failure(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    return text(error);
  }
  throw new Error('expected a QutlassError, got none');
}

/** Code and message of the QutlassError that a promise rejects with. */
export async function rejection(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    return text(error);
  }
  throw new Error('expected a QutlassError, got none');
}
