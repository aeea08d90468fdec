import { type ExecFileException, execFile } from 'node:child_process';

export interface Output {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

interface Options {
  readonly cwd: string;
  /** Added to the environment of this process. */
  readonly env?: NodeJS.ProcessEnv;
}

/**
 * Runs a command to its end.
 * @throws Error with everything that the command printed if it fails.
 */
export async function run(command: string, args: readonly string[], options: Options): Promise<Output> {
  const output = await attempt(command, args, options);
  if (output.status === 0) return output;
  const { status, stdout, stderr } = output;
  throw new Error(`${command} ${args.join(' ')}: exit code ${status}\n${stdout}${stderr}`);
}

/** As {@link run}, for commands that are meant to fail. */
export function attempt(
  command: string,
  args: readonly string[],
  { cwd, ...options }: Options,
): Promise<Output> {
  // pnpm lets its commands find every package of the workspace through NODE_PATH; a consumer must not.
  const { NODE_PATH: _, ...environment } = process.env;
  const env = { ...environment, ...options.env };
  return new Promise((resolve, reject) => {
    execFile(
      command,
      args,
      { cwd, env, timeout: 90_000, killSignal: 'SIGKILL', maxBuffer: 1 << 26 },
      (error: ExecFileException | null, stdout, stderr) => {
        const code = error?.code ?? 0;
        if (typeof code === 'string') reject(error);
        else resolve({ status: error && !code ? 1 : code, stdout, stderr });
      },
    );
  });
}
