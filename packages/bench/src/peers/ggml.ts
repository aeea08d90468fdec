import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { invalidArgument } from '@qutlass/core-kernels';
import type { Shape } from '../results/types.js';
import type { PeerContender, PeerPackages } from './peer.js';

// ggml as node-llama-cpp ships it, called through its C functions. Weights are quantized by ggml from random numbers.

/** The packages that have ggml, and the means to call it. */
export const GGML_PACKAGE = '@node-llama-cpp/linux-x64';
export const FOREIGN_FUNCTIONS = 'koffi';

/** Of koffi, as much as is used here. */
interface Koffi {
  load(path: string): Library;
  struct(fields: Readonly<Record<string, string>>): unknown;
}
interface Library {
  func(name: string, result: unknown, parameters: readonly unknown[]): (...values: unknown[]) => unknown;
}

/** A type of ggml's tensors, by its number in `ggml_type`. */
interface GgmlType {
  readonly id: number;
  /** Keep the weight in the layout that ggml's fastest kernels read, where there is one. */
  readonly repacked: boolean;
}

/** By the names that results have. */
export const GGML_TYPES = {
  f32: { id: 0, repacked: false },
  q4_0: { id: 2, repacked: false },
  'q4_0 repacked': { id: 2, repacked: true },
  q8_0: { id: 8, repacked: false },
  mxfp4: { id: 39, repacked: false },
  'mxfp4 repacked': { id: 39, repacked: true },
  nvfp4: { id: 40, repacked: false },
} as const satisfies Readonly<Record<string, GgmlType>>;

/** The functions of ggml that are used here; their pointers are opaque. */
export class Ggml {
  readonly #functions: Readonly<Record<string, (...values: unknown[]) => unknown>>;

  constructor(packages: PeerPackages) {
    const koffi = packages.load(FOREIGN_FUNCTIONS) as Koffi;
    const folder = join(packages.path(GGML_PACKAGE), 'bins', 'linux-x64');
    const base = koffi.load(join(folder, 'libggml-base.so'));
    const cpu = bestBackend(koffi, folder);
    const initParameters = koffi.struct({ mem_size: 'size_t', mem_buffer: 'void *', no_alloc: 'bool' });
    const pointer = 'void *';
    this.#functions = {
      init: base.func('ggml_init', pointer, [initParameters]),
      free: base.func('ggml_free', 'void', [pointer]),
      newTensor: base.func('ggml_new_tensor_2d', pointer, [pointer, 'int', 'int64_t', 'int64_t']),
      multiply: base.func('ggml_mul_mat', pointer, [pointer, pointer, pointer]),
      newGraph: base.func('ggml_new_graph_custom', pointer, [pointer, 'size_t', 'bool']),
      expandGraph: base.func('ggml_build_forward_expand', 'void', [pointer, pointer]),
      quantize: base.func('ggml_quantize_chunk', 'size_t', [
        ...['int', pointer, pointer, 'int64_t', 'int64_t', 'int64_t', pointer],
      ]),
      rowSize: base.func('ggml_row_size', 'size_t', ['int', 'int64_t']),
      allocate: base.func('ggml_backend_alloc_ctx_tensors', pointer, [pointer, pointer]),
      allocateAs: base.func('ggml_backend_alloc_ctx_tensors_from_buft', pointer, [pointer, pointer]),
      freeBuffer: base.func('ggml_backend_buffer_free', 'void', [pointer]),
      freeBackend: base.func('ggml_backend_free', 'void', [pointer]),
      set: base.func('ggml_backend_tensor_set', 'void', [pointer, pointer, 'size_t', 'size_t']),
      compute: base.func('ggml_backend_graph_compute', 'int', [pointer, pointer]),
      initThreads: base.func('ggml_threadpool_params_init', 'void', [pointer, 'int']),
      newBackend: cpu.func('ggml_backend_cpu_init', pointer, []),
      setThreads: cpu.func('ggml_backend_cpu_set_n_threads', 'void', [pointer, 'int']),
      setPool: cpu.func('ggml_backend_cpu_set_threadpool', 'void', [pointer, pointer]),
      newPool: cpu.func('ggml_threadpool_new', pointer, [pointer]),
      freePool: cpu.func('ggml_threadpool_free', 'void', [pointer]),
      // Only C++ declares it.
      repackedBuffers: cpu.func('_Z35ggml_backend_cpu_repack_buffer_typev', pointer, []),
    };
  }

  call(name: string, ...values: unknown[]): unknown {
    const result = this.#functions[name]!(...values);
    if (result === null) throw new Error(`ggml: ${name} failed`);
    return result;
  }
}

/** The library that ggml itself would take: it asks each how well it suits the processor. */
function bestBackend(koffi: Koffi, folder: string): Library {
  const rated = readdirSync(folder)
    .filter((name) => /^libggml-cpu-.*\.so$/.test(name))
    .map((name) => {
      const library = koffi.load(join(folder, name));
      return { library, score: library.func('ggml_backend_score', 'int', [])() as number };
    })
    .filter(({ score }) => score > 0)
    .sort((a, b) => b.score - a.score);
  const [best] = rated;
  if (best) return best.library;
  throw invalidArgument('QUTLASS_E_ARGUMENT', '--peers', `ggml for this processor in ${folder}`, 'none');
}

/** A product of ggml with so many copies of its weight in turn. */
export function ggmlContender(
  ggml: Ggml,
  { id, repacked }: GgmlType,
  { m, n, k }: Shape,
  { copies, threads }: { copies: number; threads: number },
): PeerContender {
  const context = () =>
    ggml.call('init', { mem_size: 2 ** 20 + copies * 4096, mem_buffer: null, no_alloc: true });
  const [weights, rest] = [context(), context()];
  const backend = ggml.call('newBackend');
  const tensors = Array.from({ length: copies }, () => ggml.call('newTensor', weights, id, k, n));
  const weightBuffer = repacked
    ? ggml.call('allocateAs', weights, ggml.call('repackedBuffers'))
    : ggml.call('allocate', weights, backend);
  const bytes = (ggml.call('rowSize', id, k) as number) * n;
  const quantized = Buffer.alloc(bytes);
  const values = Float32Array.from({ length: n * k }, () => Math.random() - 0.5);
  ggml.call('quantize', id, values, quantized, 0, n, k, undefined);
  for (const tensor of tensors) ggml.call('set', tensor, quantized, 0, bytes);

  const x = ggml.call('newTensor', rest, 0, k, m);
  const graph = ggml.call('newGraph', rest, 2 * copies + 8, false);
  for (const tensor of tensors) ggml.call('expandGraph', graph, ggml.call('multiply', rest, tensor, x));
  const buffer = ggml.call('allocate', rest, backend);
  const data = Float32Array.from({ length: m * k }, () => 2 * Math.random() - 1);
  ggml.call('set', x, data, 0, data.byteLength);

  // Larger than ggml_threadpool_params is.
  const parameters = Buffer.alloc(1024);
  ggml.call('initThreads', parameters, threads);
  const pool = ggml.call('newPool', parameters);
  ggml.call('setThreads', backend, threads);
  ggml.call('setPool', backend, pool);
  return {
    period: copies,
    // The graph makes the products with all copies.
    enqueue: (index) => {
      if (index % copies === 0) ggml.call('compute', backend, graph);
    },
    settle: async () => {},
    [Symbol.asyncDispose]: async () => {
      ggml.call('freeBuffer', buffer);
      ggml.call('freeBuffer', weightBuffer);
      ggml.call('freeBackend', backend);
      ggml.call('freePool', pool);
      for (const own of [weights, rest]) ggml.call('free', own);
    },
  };
}
