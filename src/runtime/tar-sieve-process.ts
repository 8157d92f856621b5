import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync } from 'node:fs';
import { extname, join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';

import { AppError, messageOf, type ErrorCode } from '../errors.ts';
import { parseJson } from '../json.ts';
import type { LeftOut } from '../snapshot/manifest.ts';
import { linesOf } from './docker-frames.ts';
import type { Part } from './parts.ts';
import { BrokenOff } from './stream-errors.ts';
import type { GuardLimits } from './tar-guard.ts';
import type { TarSummary } from './tar-sieve.ts';

export interface SieveSettings {
  /** For what comes from outside: refuses what is not safe to unpack, or more than this. */
  readonly limits?: GuardLimits;
  /** See TarSieveOptions. */
  readonly dropsNodes: boolean;
  readonly leaveOut?: readonly LeftOut[];
}

/** What has come of a whole stream. */
export interface Sifted {
  /** Bytes read, those that were left out too. */
  readonly inputBytes: number;
  /** Of files, beyond what the stream has of them. 0 without limits. */
  readonly holeBytes: number;
  readonly summary: TarSummary;
}

/** A line of what the program says. Nothing follows any but `progress`. */
export type SieveReport =
  | { readonly kind: 'progress'; readonly bytes: number }
  | ({ readonly kind: 'end' } & Sifted)
  | { readonly kind: 'broken off' }
  | {
      readonly kind: 'error';
      readonly code: ErrorCode;
      readonly message: string;
      readonly hint?: string;
    };

/** Where the program reports. */
export const reportsFd = 3;

/** Beside this file, as source, as compiled, and in our bundle. `undefined` in a bundle that others have made. */
function findProgram(): string | undefined {
  const { dirname, filename } = import.meta as Partial<ImportMeta>;
  if (dirname === undefined || filename === undefined) return undefined;
  const program = join(dirname, `tar-sieve-program${extname(filename)}`);
  return existsSync(program) ? program : undefined;
}

/** Whether there is the program, without which {@link startTarSieve} cannot work. */
export const hasTarSieve = (): boolean => findProgram() !== undefined;

/**
 * Lets a tar stream through (see TarSieve) from one descriptor to another, in a process of its own. Both descriptors
 * are that one's from now on, and closed here.
 */
export function startTarSieve(
  input: number,
  output: number,
  settings: SieveSettings,
  onBytes: (bytes: number) => void,
): Part<Sifted> {
  const child = spawn(process.execPath, [findProgram() ?? '', JSON.stringify(settings)], {
    stdio: [input, output, 'pipe', 'pipe'],
    env: {}, // ours has secrets
  });
  closeSync(input);
  closeSync(output);
  const stop = (): void => {
    child.kill('SIGKILL');
  };
  const closed = once(child, 'close').catch((error: unknown) => {
    throw new AppError('copy-failed', `could not run ${process.execPath}: ${messageOf(error)}`, {
      cause: error,
    });
  }) as Promise<[number | null, NodeJS.Signals | null]>;
  const said = lastReport(child.stdio[reportsFd] as Readable, onBytes);
  const complaints = text(child.stderr as Readable);
  const listen = async (): Promise<Sifted> => {
    const [[exitCode, signal], last] = await Promise.all([closed, said]);
    switch (last?.kind) {
      case 'end':
        return last;
      case 'error':
        throw new AppError(
          last.code,
          last.message,
          last.hint === undefined ? {} : { hint: last.hint },
        );
      case 'broken off':
        throw new BrokenOff('the stream broke off in the middle');
      case undefined:
        if (child.killed) throw new BrokenOff('it was stopped');
        throw new AppError(
          'copy-failed',
          `the process that checks the archive ended in the middle (${signal ?? `exit code ${exitCode ?? '?'}`})`,
          { details: linesOf(await complaints) },
        );
    }
  };
  return { done: listen(), stop };
}

/** It may be killed in the middle of a line. */
function cutOff(cause: unknown): AppError {
  return new AppError('copy-failed', 'the process that checks the archive ended in the middle', {
    cause,
  });
}

/** The one that says how it ended. */
async function lastReport(
  reports: Readable,
  onBytes: (bytes: number) => void,
): Promise<Exclude<SieveReport, { kind: 'progress' }> | undefined> {
  for await (const line of createInterface({ input: reports })) {
    const report = parseJson(line, cutOff) as SieveReport; // written by our own program
    if (report.kind !== 'progress') return report;
    onBytes(report.bytes);
  }
  return undefined;
}
