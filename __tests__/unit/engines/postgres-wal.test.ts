import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';

import { postgres } from '../../../src/engines/postgres.ts';
import { namesAfter, walBeyondCheckpoint } from '../../../src/engines/postgres-wal.ts';
import { matcherOf } from '../../../src/runtime/path-pattern.ts';
import { dataReaderOf } from '../../support/engines.ts';

const system = 0x6b07_e280_1234_5678n;
const mib = 1024 * 1024;

interface Server {
  readonly version: number;
  readonly checkpoint: bigint;
  readonly timeline: number;
  readonly segmentBytes: number;
}
const usual: Server = {
  version: 1300,
  checkpoint: 0x2_0500_1234n,
  timeline: 3,
  segmentBytes: 16 * mib,
};

function control({ version, checkpoint, timeline }: Server): Buffer {
  const bytes = Buffer.alloc(8192);
  bytes.writeBigUInt64LE(system, 0);
  bytes.writeUInt32LE(version, 8);
  bytes.writeInt32LE(1, 16);
  bytes.writeBigUInt64LE(checkpoint, 32);
  bytes.writeUInt32LE(timeline, 48);
  return bytes;
}

/** The head of a segment; `at` is where its first page says it is. */
function segment({ timeline, segmentBytes }: Server, at: bigint, own = system): Buffer {
  const bytes = Buffer.alloc(8192);
  bytes.writeUInt16LE(0xd110, 0);
  bytes.writeUInt16LE(2, 2);
  bytes.writeUInt32LE(timeline, 4);
  bytes.writeBigUInt64LE(at, 8);
  bytes.writeBigUInt64LE(own, 24);
  bytes.writeUInt32LE(segmentBytes, 32);
  return bytes;
}

/** As the server's own macro has it. */
function nameOf({ timeline, segmentBytes }: Server, number: bigint): string {
  const inEach = 0x1_0000_0000n / BigInt(segmentBytes);
  const parts = [BigInt(timeline), number / inEach, number % inEach];
  return parts.map((part) => part.toString(16).toUpperCase().padStart(8, '0')).join('');
}

/** A folder with the segment of the checkpoint, and other files. */
function folder(server: Server, others: Readonly<Record<string, Buffer>> = {}) {
  const size = BigInt(server.segmentBytes);
  const first = server.checkpoint / size;
  return {
    'global/pg_control': control(server),
    [`pg_wal/${nameOf(server, first)}`]: segment(server, first * size),
    ...others,
  };
}

const beyond = (files: Readonly<Record<string, Buffer>>) =>
  walBeyondCheckpoint(dataReaderOf(files));

async function leftOut(server: Server): Promise<(path: string) => boolean> {
  const patterns = (await beyond(folder(server))) ?? [];
  return matcherOf(patterns.map((pattern) => ({ pattern, reason: '' })));
}

test('the names after one are those that sort after it, of the same timeline', () => {
  const digits = fc.stringMatching(/^[0-9A-F]{16}$/);
  const timelines = fc.constantFrom('00000001', '0000000A', 'FFFFFFFF');
  const near = fc.tuple(digits, fc.nat(15), fc.constantFrom(...Array.from('0123456789ABCDEF')));
  fc.assert(
    fc.property(timelines, timelines, near, (timeline, other, [number, at, digit]) => {
      const name = timeline + number;
      const patterns = namesAfter(name);
      expect(patterns.length).toBeLessThanOrEqual(16);
      const isAfter = matcherOf(patterns.map((pattern) => ({ pattern, reason: '' })));
      const changed = number.slice(0, at) + digit + number.slice(at + 1);
      for (const each of [name, timeline + changed, other + changed]) {
        expect(isAfter(each)).toBe(each > name && each.startsWith(timeline));
      }
      expect(isAfter(`${timeline}${'F'.repeat(16)}.partial`)).toBe(false);
    }),
    { numRuns: 1000 },
  );
});

test('the number of a segment decides, whatever the size, place and version', async () => {
  const servers = fc.record<Server>({
    version: fc.constantFrom(1100, 1201, 1300, 1700, 1800),
    checkpoint: fc.bigInt({ min: 40n, max: 2n ** 44n }),
    timeline: fc.constantFrom(1, 0xab),
    segmentBytes: fc.constantFrom(1, 16, 64, 1024).map((n) => n * mib),
  });
  const distances = fc.bigInt({ min: -300n, max: 300n });
  await fc.assert(
    fc.asyncProperty(servers, distances, async (server, distance) => {
      const size = BigInt(server.segmentBytes);
      const number = server.checkpoint / size + distance;
      if (number < 0n) return;
      const isLeftOut = (await leftOut(server))(`./pg_wal/${nameOf(server, number)}`);
      const last = (server.checkpoint + 65_536n) / size;
      expect(isLeftOut).toBe(number > last);
      const elsewhere = { ...server, timeline: server.timeline + 1 };
      expect((await leftOut(server))(`./pg_wal/${nameOf(elsewhere, number)}`)).toBe(false);
    }),
  );
});

test('a record may go on in the next segment', async () => {
  const near = { ...usual, checkpoint: 0x2_05ff_ffd0n };
  const isLeftOut = await leftOut(near);
  expect(isLeftOut('./pg_wal/000000030000000200000006')).toBe(false);
  expect(isLeftOut('./pg_wal/000000030000000200000007')).toBe(true);
  expect(isLeftOut('./pg_wal/000000030000000300000000')).toBe(true);
});

describe('nothing is left out', () => {
  const spare = nameOf(usual, 0x206n);
  const here = `pg_wal/${nameOf(usual, 0x205n)}`;
  test.each<[string, Readonly<Record<string, Buffer>>]>([
    ['without pg_control', {}],
    ['of a pg_control that is cut', folder(usual, { 'global/pg_control': Buffer.alloc(50) })],
    ['of an older version', folder({ ...usual, version: 1002 })],
    ['of a newer version', folder({ ...usual, version: 1902 })],
    ['of another order of bytes', folder({ ...usual, version: 0x1405_0000 })],
    ['without the segment of the checkpoint', { 'global/pg_control': control(usual) }],
    [
      'where that is cut',
      folder(usual, { [here]: segment(usual, 0x2_0500_0000n).subarray(0, 35) }),
    ],
    ['where that is a recycled one', folder(usual, { [here]: segment(usual, 0x2_0100_0000n) })],
    [
      'where that is of another system',
      folder(usual, { [here]: segment(usual, 0x2_0500_0000n, 1n) }),
    ],
    [
      'where its size is not what its name says',
      folder(usual, { [here]: segment({ ...usual, segmentBytes: 64 * mib }, 0x2_0500_0000n) }),
    ],
    [
      'where its first page is of another timeline',
      folder(usual, { [here]: segment({ ...usual, timeline: 2 }, 0x2_0500_0000n) }),
    ],
    ['where it has no long header', folder(usual, { [here]: Buffer.alloc(8192) })],
    [
      'where the log goes on behind it',
      folder(usual, { [`pg_wal/${spare}`]: segment(usual, 0x2_0600_0000n) }),
    ],
    [
      'where more log is to come from an archive',
      folder(usual, { 'recovery.signal': Buffer.of() }),
    ],
    ['where more log is to come from a primary', folder(usual, { 'standby.signal': Buffer.of() })],
    ['of a backup that was not started yet', folder(usual, { backup_label: Buffer.of() })],
  ])('%s', async (_, files) => {
    expect(await beyond(files)).toBeUndefined();
    expect(await postgres.worthless?.(dataReaderOf(files))).toEqual([]);
  });
});

test('a recycled segment is no log, nor is an empty one', async () => {
  const names = [nameOf(usual, 0x206n), nameOf(usual, 0x207n)].map((name) => `pg_wal/${name}`);
  const [recycled = '', empty = ''] = names;
  const files = folder(usual, {
    [recycled]: segment(usual, 0x2_0100_0000n),
    [empty]: Buffer.alloc(8192),
  });
  const found = await postgres.worthless?.(dataReaderOf(files));
  const isLeftOut = matcherOf(found ?? []);
  expect(names.map(isLeftOut)).toEqual([true, true]);
  const kept = [
    'pg_notify/',
    'pg_xact/0000',
    'pg_replslot/a/state',
    'global/pg_control',
    'base/5/1259',
  ];
  expect(kept.filter(isLeftOut)).toEqual([]);
  const dropped = [
    'pg_notify/0000',
    'pg_subtrans/0000',
    'global/pg_internal.init',
    'base/5/pg_internal.init',
  ];
  expect(dropped.filter((path) => !isLeftOut(path))).toEqual([]);
});
