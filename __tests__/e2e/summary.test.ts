import { expect, test } from '@jest/globals';

import { startSummary, volumesSummary } from '../../src/action/summary.ts';
import { renderSummaries } from '../support/browser/rendered.ts';
import { testImage } from '../support/images.ts';
import { seedScript } from '../support/postgres.ts';
import { hostileText, makeReport } from '../support/reports.ts';
import { startJob } from '../support/runner.ts';
import { useScratch } from '../support/store-bundles.ts';

const scratch = useScratch();
const seconds = String.raw`\d+\.\d s`;
const pages = /^https:\/\/github\.com\/snapvol\/snapvol\/blob\/main\/docs\/[a-z-]+\.md(#[a-z-]+)?$/;

test('the job summaries of a miss, a hit, a base and a refused snapshot show in a browser what happened', async () => {
  const image = testImage('postgres:17');
  const store = `file:${await scratch.folder('store')}`;
  const inputs = { image, seed: seedScript, port: '0', store, key: 'items-1' };
  await using first = await startJob();
  const seeded = await first.step(inputs);
  expect(seeded).toMatchObject({ exitCode: 0, errors: [] });
  await seeded.post();

  await using second = await startJob();
  const restored = await second.step({ ...inputs, check: 'true' });
  const more = { ...inputs, seed: 'true', save: 'false' };
  const onTop = await second.step({
    ...more,
    ...{ name: 'b', key: 'items-2', 'restore-keys': 'items-' },
  });
  const refused = await second.step({ ...more, name: 'c', 'expect-digest': '0'.repeat(64) });
  for (const step of [restored, onTop, refused])
    expect(step).toMatchObject({ exitCode: 0, errors: [] });
  const path = new RegExp(`^${seconds}: (\\w+ \\d+\\.\\d, )*\\w+ \\d+\\.\\d$`, 'm');
  for (const { log } of [seeded, restored]) expect(log).toMatch(path);

  const hostile = makeReport({
    ...{ key: hostileText, name: hostileText, image: hostileText, store: hostileText },
    ...{ outcome: 'miss', missReason: hostileText },
    ...{ keyParts: [{ name: hostileText, value: hostileText }] },
  });
  const snapshot = hostile.snapshot && {
    ...hostile.snapshot,
    largestTables: [{ name: hostileText, bytes: 1 }],
  };
  const shown = await renderSummaries([
    ...[seeded, restored, onTop, refused].map(({ summary }) => summary),
    startSummary({ ...hostile, snapshot }, { savedSeconds: 0, databases: 0 }),
    volumesSummary({
      ...{ title: 'Save a snapshot', result: 'saved', key: hostileText, totalSeconds: 3 },
      ...{ copy: { bytes: 2e6, seconds: 1 }, volumes: [{ name: 'shop_db', sizeBytes: 2e6 }] },
    }),
  ]);

  const [miss, hit, base, refusal, others, saved] = shown;
  for (const { foreign, error, bars, links, folded } of shown) {
    expect({ foreign, error }).toEqual({ foreign: [], error: '' });
    expect(bars.filter(({ width }) => !(width > 0))).toEqual([]);
    expect(links.filter((link) => !pages.test(link))).toEqual([]);
    expect(folded.filter(({ open }) => open)).toEqual([]);
  }
  const labels = (bars: typeof miss) => bars?.bars.map(({ label }) => label.split(' ')[0]);

  expect(miss).toMatchObject({
    heading: `Database postgres of ${image}`,
    rows: {
      Result: 'miss: no snapshot for this key',
      Key: 'items-1',
      Snapshot: expect.stringMatching(/^\S+ MB, unpacked \d+ MB, in file:/),
      Save: 'saved',
      Time: expect.stringMatching(/^\d+\.\d s: .*ready .*seed .*snapshot /),
    },
  });
  expect(labels(miss)).toEqual(['image', 'search', 'ready', 'seed', 'snapshot', 'save']);

  expect(hit?.rows).toEqual({
    Result: 'hit',
    Key: 'items-1',
    Snapshot: miss?.rows['Snapshot'],
    Restore: expect.stringMatching(new RegExp(`^\\d+ MB in ${seconds}, \\S+ MB/s$`)),
    Save: 'skipped: it was restored',
    Time: expect.stringMatching(/^\d+\.\d s: .*restore /),
    Savings: expect.stringMatching(
      new RegExp(`^${seconds} (less|slower) than seeding \\(${seconds}\\)$`),
    ),
  });
  expect(labels(hit)).toEqual(['image', 'search', 'restore', 'ready', 'check']);
  expect(hit?.folded).toMatchObject([
    { title: 'What the key is made of', rows: expect.arrayContaining([['image', image]]) },
    { title: 'Largest tables', rows: [['item', expect.stringMatching(/^\d\.\d MB$/)]] },
    { title: 'Documentation' },
  ]);
  expect(hit?.links).toHaveLength(4);

  expect(base?.rows).toMatchObject({
    Result: 'base: only a base snapshot: items-1',
    Base: 'items-1',
    Snapshot: 'none',
    Savings: expect.stringMatching(/^in this job so far -?\d+\.\d s, over 1 restore$/),
  });
  expect(labels(base)).toEqual(['image', 'search', 'restore', 'ready', 'seed']);
  expect(refusal?.rows).toMatchObject({
    Result: expect.stringMatching(/^miss: the snapshot items-1 is refused: /),
    Save: 'skipped: save is false',
  });

  // What others wrote stands there as they wrote it, but for what cannot be seen.
  const asShown = hostileText.replace(/[\p{Cc}\u2028\u202e]+/gu, ' ').toWellFormed();
  const cut = asShown.slice(0, 200);
  expect(others?.heading.startsWith(`Database ${cut}`)).toBe(true);
  expect(others?.rows['Key']?.startsWith(cut)).toBe(true);
  expect(others?.rows['Result']?.startsWith(`miss: ${cut}`)).toBe(true);
  expect(labels(others)).toEqual(['search', 'image', 'restore', 'check']);
  expect(others?.folded.map(({ rows }) => rows.length)).toEqual([1, 1, 0]);
  expect(saved?.rows).toMatchObject({
    Volume: 'shop_db 2.0 MB',
    'Stop, copy, start': '2.0 MB in 1.0 s, 2.0 MB/s',
  });
  expect(saved?.bars).toEqual([]);

  for (const step of [refused, onTop, restored])
    expect(await step.post()).toMatchObject({ exitCode: 0 });
  expect((await second.leftovers()).files).toEqual([]);
});
