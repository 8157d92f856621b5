import { rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { secondsSince, systemClock } from '../clock.ts';
import { composeStore } from '../compose.ts';
import { explain, toAppError } from '../errors.ts';
import { killGroup, thisProcess } from '../process-identity.ts';
import { readOrder, uploadFiles, type UploadOrder } from './hand-over.ts';
import { actionsLog } from './log.ts';
import { surroundings } from './phase.ts';
import { plainLines, type PlainLines } from './plain-lines.ts';

/** How an upload ended, for post. */
export type UploadOutcome =
  | { readonly kind: 'saved' | 'already-there'; readonly seconds: number }
  | { readonly kind: 'failed'; readonly reason: string; readonly details: readonly string[] };

/** The process that {@link handOver} starts: saves one bundle, and writes down how it went. */
export async function upload(): Promise<void> {
  const order = await readOrder();
  if (order) {
    const plain = printPlainly();
    const dir = process.cwd();
    // The client of GitHub's cache works in the workspace, which the next steps may empty, or fill: here is another one.
    Object.assign(process.env, order.env, { GITHUB_WORKSPACE: dir, RUNNER_TEMP: dir });
    const outcome = plainOutcome(await save(order, dir), plain);
    await rm(join(dir, uploadFiles.bundle), { recursive: true, force: true });
    const whole = join(dir, 'outcome.tmp');
    await writeFile(whole, JSON.stringify(outcome), { mode: 0o600 });
    await rename(whole, join(dir, uploadFiles.outcome));
  }
  // A client of GitHub that was given up goes on for minutes, and so may a program that it has started.
  killGroup(thisProcess());
  process.exit();
}

async function save({ key, store, passphrase }: UploadOrder, dir: string): Promise<UploadOutcome> {
  const startMs = systemClock.monotonicMs();
  try {
    const around = { ...surroundings(), log: actionsLog, cwd: dir, secrets: { passphrase } };
    const opened = await composeStore(store, around);
    // Whoever wants it to end kills it: nothing of it is to be kept then.
    const { signal } = new AbortController();
    const kind = await opened.save(key, join(dir, uploadFiles.bundle), signal);
    return { kind, seconds: secondsSince(systemClock, startMs) };
  } catch (thrown) {
    const error = toAppError(thrown);
    return { kind: 'failed', reason: explain(error), details: error.details };
  }
}

/** For a file, and for post, which knows nothing of what was masked here. */
function plainOutcome(outcome: UploadOutcome, plain: PlainLines): UploadOutcome {
  if (outcome.kind !== 'failed') return outcome;
  const { reason, details } = outcome;
  return { kind: 'failed', reason: plain(reason), details: details.map(plain) };
}

/** Post prints the file that standard output is, and a file is no place for secrets. */
function printPlainly(): PlainLines {
  const { stdout } = process;
  const write = stdout.write.bind(stdout);
  const plain = plainLines();
  stdout.write = (chunk: string | Uint8Array): boolean =>
    write(plain(typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString('utf8')));
  return plain;
}
