import { randomUUID } from 'node:crypto';
import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises';
import { checkpointError, fileError } from './errors.js';

/** Below the 2^31 - 1 bytes that one call of the operating system moves at most. */
const MAX_TRANSFER_BYTES = 2 ** 30;

/** Whether `path` leads to something. */
export function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/**
 * Fills `target` from the bytes at `position`.
 *
 * @param where the prefix of error messages: the file, and what is read
 * @throws QutlassError QUTLASS_E_CHECKPOINT if the file ends before
 */
export async function readFully(
  handle: FileHandle,
  target: Uint8Array,
  position: number,
  where: string,
  maxTransferBytes = MAX_TRANSFER_BYTES,
): Promise<void> {
  let done = 0;
  while (done < target.length) {
    const length = Math.min(target.length - done, maxTransferBytes);
    const { bytesRead } = await handle.read(target, done, length, position + done).catch((error: unknown) => {
      throw fileError(where, 'read', error);
    });
    if (bytesRead === 0) {
      throw checkpointError(
        where,
        `expected ${target.length} bytes at offset ${position}, got ${done}: the file was truncated while open`,
      );
    }
    done += bytesRead;
  }
}

/** Appends all of `bytes`. */
export async function writeFully(
  handle: FileHandle,
  bytes: Uint8Array,
  where: string,
  maxTransferBytes = MAX_TRANSFER_BYTES,
): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    const length = Math.min(bytes.length - done, maxTransferBytes);
    const { bytesWritten } = await handle.write(bytes, done, length).catch((error: unknown) => {
      throw fileError(where, 'written', error);
    });
    done += bytesWritten;
  }
}

/** A complete file that waits under a temporary name beside its target. */
export interface StagedFile {
  /** Gives the file its name in one step, replacing what had it. */
  commit(): Promise<void>;
  /** Removes the file, unless it was committed. */
  discard(): Promise<void>;
}

/**
 * Writes a file under a temporary name, flushed to the disk. If `write` fails, nothing of it stays.
 *
 * @throws QutlassError QUTLASS_E_CHECKPOINT, or what `write` throws
 */
export async function stageFile(
  path: string,
  write: (handle: FileHandle) => Promise<void>,
): Promise<StagedFile> {
  const temporary = `${path}.${randomUUID()}.tmp`;
  const handle = await open(temporary, 'wx').catch((error: unknown) => {
    throw fileError(path, 'created', error);
  });
  const discard = () => rm(temporary, { force: true });
  try {
    try {
      await write(handle);
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    await discard();
    throw error;
  }
  return {
    commit: () =>
      rename(temporary, path).catch((error: unknown) => {
        throw fileError(path, 'replaced', error);
      }),
    discard,
  };
}
