import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import type { CopyBench } from './copy-ways.ts';
import { docker } from './docker-cli.ts';
import { testImage } from './images.ts';

/** A tar that says it is GNU's, and then tells what it can do instead of copying. Its log has room for 20 lines. */
const spy = `#!/bin/sh
if [ "$1" = --version ]; then echo 'tar (GNU tar) 1.34'; exit 0; fi
try() { if sh -c "$2" 2>/dev/null; then echo "$1=yes"; else echo "$1=no"; fi; }
{
  echo "user=$(id -u):$(id -g)"
  echo "interfaces=$(ls /sys/class/net | xargs)"
  sed -nE 's/^(Cap(Eff|Prm|Bnd|Amb)|NoNewPrivs):[[:space:]]*/\\1=/p' /proc/self/status
  try 'write to /' 'touch /x'
  try 'write to /volume' 'touch /volume/x'
  try 'write to /scratch' 'touch /scratch/x'
  try 'make a device' 'mknod /volume/device c 1 3 || mknod /scratch/device c 1 3'
  echo "processes=$(cat /sys/fs/cgroup/pids.max /sys/fs/cgroup/pids/pids.max 2>/dev/null)"
  echo "mounts=$(awk '{ print $5 }' /proc/self/mountinfo |
    grep -vE '^/(proc|sys|dev)(/|$)|^/etc/(hosts|hostname|resolv\\.conf)$' | sort | xargs)"
} >&2
exit 9
`;

/** An image with this tar. It goes with the bench. */
export async function spyImage(bench: CopyBench): Promise<string> {
  const file = join(bench.dir, 'tar');
  writeFileSync(file, spy);
  chmodSync(file, 0o755);
  const image = `${bench.volumes.prefix}-spy`;
  const container = `${bench.volumes.prefix}-makes-spy`;
  const label = ['--label', bench.volumes.label];
  await docker('create', '--name', container, ...label, testImage('postgres:17'));
  try {
    await docker('cp', file, `${container}:/usr/local/bin/tar`);
    await docker('commit', container, image);
  } finally {
    await docker('rm', '--volumes', container);
  }
  bench.onDispose(() => docker('rmi', image));
  return image;
}

/** What the spy has told. */
export function confinement(lines: readonly string[]): Readonly<Record<string, string>> {
  const pairs = lines.map((line) => line.replace(/^tar: /, '').split('='));
  return Object.fromEntries(pairs.map(([name = '', value = '']) => [name, value]));
}
