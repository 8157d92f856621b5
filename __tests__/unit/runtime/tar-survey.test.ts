import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

import { expect, test } from '@jest/globals';

import { TarSurvey } from '../../../src/runtime/tar-survey.ts';
import { paxEntry, tarEnd, tarEntry, tarHeader } from '../../support/tar-bytes.ts';

async function rootOf(chunks: readonly Buffer[]): Promise<string> {
  const survey = new TarSurvey();
  await pipeline(Readable.from(chunks), survey);
  return survey.root;
}

/** An archive with these entries; those that end with a slash are folders. */
const archive = (...names: string[]): Buffer[] => [
  ...names.map((name) =>
    name.endsWith('/') ? tarHeader({ name, type: '5' }) : tarEntry(name, 'x'),
  ),
  tarEnd,
];

test.each([
  ['the root of the archive, where it has an entry', '', ['./', './data/', './data/a']],
  ['that root, wherever its entry is', '', ['data/', 'data/a', './']],
  ['that root, by other names', '', ['/', '/data/', '/data/a']],
  ['the folder that all else is in', 'data', ['data/', 'data/a', 'data/b/c']],
  ['that folder, wherever its entry is', 'data', ['data/b/c', 'data/a', 'data/']],
  ['that folder, however it is written', 'data', ['/data/', './data/a', 'data//b']],
  [
    'that folder, deeper',
    'var/lib/data',
    ['var/lib/data/', 'var/lib/data/sub/', 'var/lib/data/sub/x'],
  ],
  ['that folder, empty', 'data', ['data/']],
  ['the outer one of two such', 'var', ['var/', 'var/lib/', 'var/lib/x']],
  ['what all have in front, without such an entry', 'data', ['data/a', 'data/b/', 'data/b/c']],
  ['the folder of a single file', 'data/sub', ['data/sub/file']],
  ['nothing for a single file', '', ['file']],
  ['nothing where folders have nothing in common', '', ['data/', 'data/a', 'config/', 'config/b']],
  ['no half of a name', '', ['data/', 'data2/']],
  ['nothing of nothing', '', []],
])('the root of a volume is %s', async (_name, root, names) => {
  expect(await rootOf(archive(...names))).toBe(root);
});

test('long names count, and no content', async () => {
  const long = `data/${'x/'.repeat(80)}`;
  const stream = [
    paxEntry({ path: `${long}a` }),
    tarEntry('elsewhere', Buffer.concat([tarEntry('other', 'x'), tarEnd])),
    tarEntry('././@LongLink', `${long}b\0`, 'L'),
    tarHeader({ name: 'cut' }),
    tarEnd,
  ];
  expect(await rootOf(stream)).toBe(long.slice(0, -1));
});

test.each([
  ['cut off', [tarEntry('a', 'x')]],
  ['with a path that leads out', [tarEntry('../a', 'x'), tarEnd]],
  ['with something behind it', [tarEnd, tarEntry('a', 'x')]],
])('an archive is refused: %s', async (_name, chunks) => {
  await expect(rootOf(chunks)).rejects.toMatchObject({ code: 'snapshot-corrupt' });
});
