import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { buffer, text } from 'node:stream/consumers';

import { pack } from 'tar-stream';

import { testImage } from './images.ts';

/** Runs a bash script as root in a volume, or a folder of the host: no container has it mounted afterwards. */
export async function runIn(storage: string, script: string, input?: Buffer): Promise<string> {
  return run([`${storage}:/storage`], script, input);
}

/** As `runIn`, in a folder that has all of them in it, by their names. */
export function runInAll(volumes: readonly string[], script: string): Promise<string> {
  return run(
    volumes.map((volume) => `${volume}:/storage/${volume}`),
    script,
  );
}

async function run(mounts: readonly string[], script: string, input?: Buffer): Promise<string> {
  const args = [
    ...['run', '--rm', '--interactive', '--network', 'none', '--user', '0:0'],
    ...mounts.flatMap((mount) => ['--volume', mount]),
    ...['--workdir', '/storage', '--env', 'LC_ALL=C'],
    ...['--entrypoint', 'bash', testImage('postgres:17'), '-euo', 'pipefail', '-c', script],
  ];
  const child = spawn('docker', args, { env: process.env });
  child.stdin.on('error', () => undefined); // the exit code tells
  child.stdin.end(input);
  const [output, complaints, [exitCode]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close') as Promise<[number | null]>,
  ]);
  if (exitCode !== 0) throw new Error(`${script}: exit code ${String(exitCode)}: ${complaints}`);
  return output;
}

/** All that is in it: name, kind, mode, owner, time and target of each, hashes of files, and extended attributes. */
export function look(storage: string): Promise<string> {
  return runIn(
    storage,
    `find . -printf '%p %y %m %U:%G %T@ %l\\n' | sort
     find . -type f -print0 | sort --zero-terminated | xargs -0 --no-run-if-empty sha256sum
     tar --create --format=posix --xattrs --acls . | grep --text --only-matching 'SCHILY.*' || true`,
  );
}

/** Instead of what is there: owners, modes, links, an extended attribute; times in whole seconds. */
export async function furnish(storage: string, what: string): Promise<void> {
  const tar = pack();
  const pax = { 'SCHILY.xattr.user.origin': what };
  tar.entry({ name: 'tagged', mode: 0o644, pax }, what);
  tar.finalize();
  const input = await buffer(tar);
  await runIn(
    storage,
    `find . -mindepth 1 -delete; tar --extract --xattrs
     echo ${what} > file; chown 999:999 file; mkdir -p sub/deep .hidden; echo ${what} > sub/deep/file
     chown -R 70:70 sub; chmod 2775 sub; chmod 0600 sub/deep/file; echo ${what} > .hidden/-rf
     ln -s sub/deep link; ln -s nowhere dangling; ln file sub/hard; echo ${what} > ${what}
     chown 300000:1000680000 .; chmod 3750 .; find . -exec touch --no-dereference --date @1000000000 {} +`,
    input,
  );
}
