import { invalidArgument } from '@qutlass/core-kernels';
import { Command } from 'commander';
import type { CommandContext } from '../cli/context.js';
import { listOf, runSuite, type SuiteOptions } from '../cli/suite.js';
import { parseShapes, type Shape } from '../gemm/shapes.js';
import { measurePeers, PEER_PACKAGES, peerSampling } from '../peers/measure.js';
import { PeerPackages } from '../peers/peer.js';
import type { PeerResults } from '../results/types.js';

/** A token, a small batch and a prompt on a matrix of a 7 B Llama. */
const SHAPES: readonly Shape[] = [1, 32, 512].map((m) => ({ m, n: 4096, k: 4096 }));
const QUICK_SHAPES: readonly Shape[] = [1, 32].map((m) => ({ m, n: 512, k: 512 }));

interface PeersCpuOptions extends Omit<SuiteOptions, 'device'> {
  peers: string;
  shapes?: string;
  threads: string;
  weights?: string;
}

export function peersCpuCommand(context: CommandContext): Command {
  return new Command('peers-cpu')
    .description(
      'Time products on the CPU beside those of ONNX Runtime and ggml, in one process and in turns.',
    )
    .option('--peers <folder>', 'where the other libraries are installed', process.cwd())
    .option('--shapes <list>', 'M,N,K;M,N,K;... (default: 1, 32 and 512 rows of a 7 B Llama)')
    .option('--threads <list>', 'numbers of threads, separated by commas', '1,2')
    .option('--weights <list>', 'only these formats of weights, or f32, separated by commas')
    .option('--quick', 'small shapes and few rounds')
    .option('--json', 'print the results as JSON, and nothing else, on stdout')
    .option('--report <file>', 'write an HTML report')
    .option('--out <file>', 'write the results as JSON to a file')
    .addHelpText(
      'after',
      `
The other libraries are no dependencies. To install them, without running scripts of theirs:
  $ npm install --ignore-scripts ${PEER_PACKAGES.join(' ')}

Examples:
  $ qutlass-bench peers-cpu
  $ qutlass-bench peers-cpu --peers ../peers --weights nvfp4,mxfp4 --threads 1 --out peers.json`,
    )
    .action((options: PeersCpuOptions) => runPeersCpu(context, options));
}

async function runPeersCpu(context: CommandContext, options: PeersCpuOptions): Promise<void> {
  const shapes = options.shapes ? parseShapes(options.shapes) : options.quick ? QUICK_SHAPES : SHAPES;
  const threads = listOf(options.threads)!.map(parseThreads);
  const packages = new PeerPackages(options.peers);
  // Before anything is measured.
  for (const name of PEER_PACKAGES) packages.path(name);
  await runSuite<PeerResults>(
    context,
    { ...options, device: 'cpu' },
    'peers-cpu',
    (timing) => measurePeers({ ...timing, packages, shapes, threads, weights: listOf(options.weights) }),
    peerSampling,
  );
}

function parseThreads(text: string): number {
  const count = /^\d+$/.test(text) ? Number(text) : 0;
  if (count > 0) return count;
  throw invalidArgument(
    'QUTLASS_E_ARGUMENT',
    '--threads',
    "numbers of threads as in '1,2'",
    JSON.stringify(text),
  );
}
