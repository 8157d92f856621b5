import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { expect, test } from '@jest/globals';

import { collectUpload } from '../../../src/action/collect-upload.ts';
import { uploadFiles } from '../../../src/action/hand-over.ts';
import { identityOf, stateOf } from '../../../src/process-identity.ts';
import { useScratch } from '../../support/store-bundles.ts';

const scratch = useScratch();

/** What post prints of an upload that has left these files, and whose process is still there, or has ended. */
async function collected(
  files: Readonly<Record<string, string>>,
  { ended = false, cancelled = false, timeoutMs = 60_000 } = {},
): Promise<string> {
  const tempDir = await scratch.folder('temp');
  const dir = join(tempDir, 'upload');
  await mkdir(dir);
  for (const [name, text] of Object.entries(files)) await writeFile(join(dir, name), text);
  const child = spawn('tail', ['--follow', '/dev/null'], { detached: true, stdio: 'ignore' });
  const exit = once(child, 'exit');
  await once(child, 'spawn');
  const process = identityOf(child.pid ?? 0);
  if (ended) {
    child.kill('SIGKILL');
    await exit;
  }
  const upload = { key: 'shop', dir, process, timeoutMs, readableByAll: true };
  const printed = await printedBy(() =>
    collectUpload(upload, cancelled, new AbortController().signal),
  );
  await exit;
  expect(stateOf(process)).toBe('dead');
  expect(await readdir(tempDir)).toEqual([]);
  return printed;
}

async function printedBy(work: () => Promise<void>): Promise<string> {
  const { stdout } = process;
  const write = stdout.write.bind(stdout);
  let printed = '';
  stdout.write = (chunk: string | Uint8Array): boolean => {
    printed += String(chunk);
    return true;
  };
  try {
    await work();
  } finally {
    stdout.write = write;
  }
  return printed;
}

const { log, outcome } = uploadFiles;

test('what an upload has printed and how it ended is told; nobody waits for one that is done', async () => {
  const saved = { [log]: 'half\n::add-mask::x\n', [outcome]: '{"kind":"saved","seconds":1.5}' };
  const text = await collected(saved);
  expect(text).toContain('::group::Upload of shop\nhalf\n: :add-mask::x\n::endgroup::\n');
  expect(text).toContain('saved shop, in 1.5 s in the background\n::warning::this repository is');
  expect(text).not.toContain('waiting');
  // Although the job was cancelled: it is saved.
  expect(await collected(saved, { ended: true, cancelled: true })).toContain('saved shop');

  const there = { [outcome]: '{"kind":"already-there","seconds":1}' };
  expect(await collected(there)).toContain('shop is already there, kept as it is');
  const refused = { [outcome]: '{"kind":"failed","reason":"no room","details":["of 1 GB"]}' };
  expect(await collected(refused)).toContain(
    '::warning::the snapshot was not saved: no room\nof 1 GB\n',
  );
});

test.each([
  { files: {}, how: { timeoutMs: 250 }, reason: 'it was not done 0.25 s after the last step' },
  { files: {}, how: { timeoutMs: 250, cancelled: true }, reason: 'the job was cancelled' },
  {
    files: { [log]: 'half\n' },
    how: { ended: true },
    reason: 'the process that uploaded it was ended before it was done',
  },
  {
    files: { [outcome]: '{"kind":' },
    how: {},
    reason: 'what it has left of how it went cannot be read',
  },
])('an upload that is not done is ended, and nothing of it is left: $reason', async (row) => {
  expect(await collected(row.files, row.how)).toContain(
    `::warning::the snapshot was not saved: ${row.reason}\n`,
  );
});
