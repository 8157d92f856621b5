import { Readable } from 'node:stream';

import type Docker from 'dockerode';

import { AppError } from '../errors.ts';
import { abortable } from './docker-client.ts';
import { statusOf } from './docker-errors.ts';
import { readTar } from './small-tar.ts';
import { headBlocks, ownersOf, type Owners } from './tar-head.ts';
import { TarReader } from './tar-reader.ts';

// Where containers have users of their own (`--userns-remap`), the engine takes owners as containers see them, and gives
// them out as its host does: https://github.com/moby/moby/issues/43698

/** The engine makes it in each container, as its root. */
const rootsFile = '/.dockerenv';

/** What containers see of a user of the host that is none of theirs (https://docs.kernel.org/admin-guide/sysctl/fs.html). */
const overflowId = 65534;

interface Informant {
  info(options: object): Promise<{ readonly SecurityOptions?: readonly string[] | null }>;
}

/** Whom the engine's archives take for root; the answer may be kept. `read`: from any container. */
export async function rootInArchives(
  docker: Docker,
  read: (file: string) => Promise<Readable>,
  signal?: AbortSignal,
): Promise<Owners> {
  // A cast: the types know neither the options that the method takes, nor that a list may be missing.
  const { SecurityOptions } = await (docker as unknown as Informant).info({ ...abortable(signal) });
  if (!SecurityOptions?.some((option) => option.split(',').includes('name=userns')))
    return { uid: 0, gid: 0 };
  try {
    for await (const part of readTar(await read(rootsFile)))
      if (!Buffer.isBuffer(part)) return ownersOf(part);
  } catch (error) {
    if (statusOf(error) !== 404) throw error;
  }
  throw new AppError(
    'copy-failed',
    `the engine gives containers users of their own, and no ${rootsFile} in one tells which`,
  );
}

/** An archive of the engine with owners as containers see them. */
export function withInnerOwners(tar: Readable, root: Owners): Readable {
  if (root.uid === 0 && root.gid === 0) return tar;
  const inner = Readable.from(innerOwners(tar, root), { objectMode: false });
  return inner.once('close', () => tar.destroy());
}

async function* innerOwners(tar: Readable, root: Owners): AsyncGenerator<Buffer> {
  let parts: Buffer[] = [];
  const emit = (part: Buffer): void => {
    parts.push(part);
  };
  const reader = new TarReader({
    entry(entry) {
      const { uid, gid } = ownersOf(entry);
      const fields = { uid: innerId(uid, root.uid), gid: innerId(gid, root.gid) };
      const blocks = headBlocks(entry, {
        ...{ name: entry.name, fields },
        records: (records) => records.filter(({ key }) => key !== 'uid' && key !== 'gid'),
      });
      blocks.forEach(emit);
      return 'take';
    },
    content: emit,
    endBlock: emit,
  });
  for await (const chunk of tar) {
    reader.read(chunk as Buffer);
    if (parts.length > 0) yield Buffer.concat(parts);
    parts = [];
  }
  reader.end();
}

const innerId = (id: number, root: number): number => (id < root ? overflowId : id - root);
