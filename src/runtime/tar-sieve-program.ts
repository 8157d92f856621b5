// A program of its own: a tar stream comes in through descriptor 0, what goes through leaves by 1, reports by 3.
// It does nothing but wait for one of them at a time, in the system, with one piece of memory: that is as quick as a
// copy can be, and three times as quick as streams of Node.js. Whoever has started it ends it by a signal.
import { readSync, writeSync } from 'node:fs';

import { toAppError } from '../errors.ts';
import { parseJson } from '../json.ts';
import { BrokenOff, describeStreamError } from './stream-errors.ts';
import { TarGuard } from './tar-guard.ts';
import { TarSieve } from './tar-sieve.ts';
import { reportsFd, type SieveReport, type SieveSettings } from './tar-sieve-process.ts';

/** As much as a pipe holds. */
const chunkBytes = 64 * 1024;
const progressBytes = 1024 * 1024;

function report(line: SieveReport): void {
  writeSync(reportsFd, `${JSON.stringify(line)}\n`);
}

function writeAll(bytes: Buffer): void {
  for (let at = 0; at < bytes.length;) at += writeSync(1, bytes, at);
}

function sift({ limits, ...settings }: SieveSettings): SieveReport {
  const guard = limits && new TarGuard(limits);
  const sieve = new TarSieve({ ...settings, ...(guard && { guard }) });
  const memory = Buffer.allocUnsafeSlow(chunkBytes);
  let reported = 0;
  for (;;) {
    const bytes = readSync(0, memory);
    if (bytes === 0) break;
    for (const part of sieve.take(memory.subarray(0, bytes))) writeAll(part);
    if (sieve.inputBytes - reported < progressBytes) continue;
    reported = sieve.inputBytes;
    report({ kind: 'progress', bytes: reported });
  }
  sieve.end();
  const { inputBytes, summary } = sieve;
  return { kind: 'end', inputBytes, holeBytes: guard?.holeBytes ?? 0, summary };
}

/** A reader that has left will say why itself. */
function failure(thrown: unknown): SieveReport {
  const error = describeStreamError(thrown, 'the tar stream');
  if (error instanceof BrokenOff) return { kind: 'broken off' };
  const { code, message, hint } = toAppError(error);
  return { kind: 'error', code, message, ...(hint !== undefined && { hint }) };
}

function settled(settings: SieveSettings): SieveReport {
  try {
    return sift(settings);
  } catch (error) {
    return failure(error);
  }
}

report(settled(parseJson(process.argv[2] ?? '', toAppError) as SieveSettings)); // written by startTarSieve
