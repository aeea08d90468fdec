import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';

/** Update notices and telemetry would mix with the output and delay it. */
const QUIET = {
  TURBO_TELEMETRY_DISABLED: '1',
  TURBO_NO_UPDATE_NOTIFIER: '1',
  NO_UPDATE_NOTIFIER: '1',
  npm_config_update_notifier: 'false',
  COREPACK_ENABLE_DOWNLOAD_PROMPT: '0',
};

/**
 * Installs the locked dependencies where they are not installed yet.
 * @param root The folder of the workspace.
 * @param run Runs a command to its end, or ends this process as the command did.
 * @returns The environment in which the workspace's tools, and the pinned pnpm, are on the PATH.
 */
export async function installDependencies(root, run) {
  const stampFile = join(root, 'node_modules', '.qutlass-install.json');
  const lock = hashOf(root, ['pnpm-lock.yaml', 'pnpm-workspace.yaml', 'package.json']);
  const stamp = existsSync(stampFile) ? JSON.parse(readFileSync(stampFile, 'utf8')) : {};

  const pnpm = stamp.pnpm && existsSync(stamp.pnpm) ? stamp.pnpm : findPnpm(root);
  const path = [join(root, 'node_modules', '.bin'), dirname(pnpm), process.env.PATH].join(delimiter);
  const env = { ...process.env, ...QUIET, PATH: path };
  if (stamp.lock !== lock || stamp.pnpm !== pnpm) {
    await run(pnpm, ['install', '--frozen-lockfile'], env);
    writeFileSync(stampFile, JSON.stringify({ lock, pnpm }));
  }
  return env;
}

function hashOf(root, files) {
  const hash = createHash('sha256');
  for (const file of files) hash.update(readFileSync(join(root, file)));
  return hash.digest('hex');
}

/** The path of pnpm in the version of package.json's `packageManager`: one on the PATH, or fetched by npm. */
function findPnpm(root) {
  const { packageManager } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const version = packageManager.replace(/^pnpm@/, '');
  const env = { ...process.env, ...QUIET };

  // Outside the workspace pnpm tells its own version, not the one that it would switch to.
  const found = spawnSync('pnpm', ['--version'], { encoding: 'utf8', env, cwd: dirname(root) });
  const command = ['-c', 'command -v pnpm'];
  const lookup =
    found.stdout?.trim() === version
      ? spawnSync('sh', command, { encoding: 'utf8', env })
      : spawnSync('npm', ['exec', '--yes', `--package=${packageManager}`, ...command], {
          encoding: 'utf8',
          env,
        });
  const pnpm = lookup.stdout?.trim();
  if (lookup.status !== 0 || !pnpm) {
    console.error(`qutlass: pnpm ${version} could not be fetched with "npm exec ${packageManager}":`);
    console.error(lookup.stderr ?? lookup.error?.message);
    process.exit(1);
  }
  return pnpm;
}
