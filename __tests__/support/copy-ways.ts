import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

import type { Log, Progress } from '../../src/log.ts';
import { findZstd } from '../../src/runtime/compression.ts';

import type { ContainerRuntime } from '../../src/runtime/runtime.ts';
import type {
  Compression,
  CopyMethod,
  CopyTarget,
  ExpectedArchive,
  SavedArchive,
  VolumeCopier,
} from '../../src/runtime/volume-copier.ts';
import type { LeftOut } from '../../src/snapshot/manifest.ts';
import { createVolumeCopier } from '../../src/runtime/volume-copy.ts';
import { connectEngine } from './connect-engine.ts';
import { madeWith } from './docker-cli.ts';
import { testImage } from './images.ts';
import { VolumeBench } from './volume-bench.ts';

/** A way of copying volumes, and what it keeps. */
export interface Way {
  readonly method: CopyMethod;
  readonly image: string;
  /** Fractions of seconds and the like survive. */
  readonly exact: boolean;
}

export const ways = {
  'pipe with GNU tar': {
    method: 'pipe',
    image: testImage('postgres:17'),
    exact: true,
  },
  'archive API': {
    method: 'archive',
    image: testImage('no-tar'),
    exact: false,
  },
} as const satisfies Record<string, Way>;

export type WayName = keyof typeof ways;
// A cast: the names of an object literal are known.
export const wayNames = Object.keys(ways) as WayName[];

export interface CopySettings {
  readonly method?: CopyMethod | 'auto';
  readonly image?: string;
  readonly runtime?: ContainerRuntime;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
  readonly zstd?: string | undefined;
  readonly scratchDir?: string;
  readonly compression?: Compression;
  readonly archive?: string;
  readonly silenceMs?: number;
  readonly maxBytes?: number;
  readonly leaveOut?: readonly LeftOut[];
}

export const zstdLevel3: Compression = { kind: 'zstd', level: 3 };

/** The copier with everything around it that a test needs: volumes, scratch, and an eye on what is left behind. */
export class CopyBench implements AsyncDisposable {
  readonly volumes: VolumeBench;
  readonly runtime = connectEngine();
  /** For archives. */
  readonly dir = mkdtempSync(join(tmpdir(), 'snapvol-copy-'));
  /** The copier's own. */
  readonly scratchDir = mkdtempSync(join(tmpdir(), 'snapvol-scratch-'));
  readonly messages: string[] = [];
  readonly zstd: string | undefined;
  readonly #others: (() => Promise<unknown>)[] = [];
  #count = 0;

  private constructor(volumes: VolumeBench, zstd: string | undefined) {
    this.volumes = volumes;
    this.zstd = zstd;
  }

  static async start(): Promise<CopyBench> {
    const zstd = await findZstd(process.env['PATH'] ?? delimiter);
    return new CopyBench(await VolumeBench.start(), zstd);
  }

  target(volume: string, image: string): CopyTarget {
    return { storage: { type: 'volume', source: volume }, image, labels: this.volumes.labels };
  }

  archive(): string {
    this.#count += 1;
    return join(this.dir, `${this.#count}.tar.zst`);
  }

  copier(way: WayName, settings: CopySettings): VolumeCopier {
    const log: Log = {
      debug: (message) => this.messages.push(message),
      info: (message) => this.messages.push(message),
      warn: (message) => this.messages.push(message),
      group: (_title, work) => work(),
      progress: (progress) => settings.onProgress?.(progress),
      mask: () => undefined,
    };
    return createVolumeCopier({
      runtime: settings.runtime ?? this.runtime,
      log,
      scratchDir: settings.scratchDir ?? this.scratchDir,
      zstd: 'zstd' in settings ? settings.zstd : this.zstd,
      method: settings.method ?? ways[way].method,
      sharesFileSystem: true,
      ...(settings.silenceMs !== undefined && { silenceMs: settings.silenceMs }),
    });
  }

  /** Saves a volume. The archive is at `file`. */
  async save(way: WayName, volume: string, settings: CopySettings = {}): Promise<Saved> {
    const file = settings.archive ?? this.archive();
    const compression = settings.compression ?? zstdLevel3;
    const saved = await this.copier(way, settings).save(
      {
        ...this.target(volume, settings.image ?? ways[way].image),
        leaveOut: settings.leaveOut ?? [],
      },
      file,
      compression,
      settings.signal ?? new AbortController().signal,
    );
    return { ...saved, compression: compression.kind, file };
  }

  /** Restores into `volume`, or into a new one. */
  async restore(
    way: WayName,
    saved: ExpectedArchive & { readonly file: string },
    settings: CopySettings & { readonly into?: string } = {},
  ): Promise<{ readonly volume: string; readonly method: CopyMethod }> {
    const volume = settings.into ?? (await this.volumes.volume());
    const { method } = await this.copier(way, settings).restore(
      this.target(volume, settings.image ?? ways[way].image),
      saved.file,
      saved,
      settings.maxBytes ?? Infinity,
      settings.signal ?? new AbortController().signal,
    );
    return { volume, method };
  }

  /** What copies have left behind: containers, scratch files, processes, open files. */
  async leftovers(): Promise<string[]> {
    const { containers } = await madeWith(this.volumes.label);
    return [
      ...containers.filter((name) => name !== this.volumes.prefix),
      ...readdirSync(this.scratchDir),
      ...childProcesses().filter((name) => name === 'zstd'),
      ...openFiles().filter((name) =>
        [this.scratchDir, this.dir].some((dir) => name.startsWith(dir)),
      ),
    ];
  }

  /** Something more that is to go with the bench. */
  onDispose(work: () => Promise<unknown>): void {
    this.#others.push(work);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const work of this.#others) await work();
    for (const dir of [this.dir, this.scratchDir]) rmSync(dir, { recursive: true, force: true });
    await this.volumes[Symbol.asyncDispose]();
  }
}

export interface Saved extends SavedArchive {
  readonly compression: Compression['kind'];
  readonly file: string;
}

/** The names of our child processes, as Linux tells them. */
function childProcesses(): string[] {
  return readdirSync('/proc').flatMap((pid) => {
    try {
      // Columns: number, (name), state, number of the parent.
      const [, name, parent] =
        /\((.*)\) \S (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8')) ?? [];
      return name !== undefined && parent === String(process.pid) ? [name] : [];
    } catch {
      return []; // not a process, or one that has just ended
    }
  });
}

function openFiles(): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)];
    } catch {
      return []; // the folder we have just read
    }
  });
}
