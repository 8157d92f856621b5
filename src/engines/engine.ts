import type { ImageFacts } from '../runtime/runtime.ts';

/** What the user said of the database; defaults are the engine's. */
export interface Credentials {
  readonly user: string;
  readonly password: string;
  readonly database: string;
}

/** Where a running database is reached from the job. */
export interface Endpoint extends Credentials {
  readonly host: string;
  readonly port: number;
}

export type Env = Readonly<Record<string, string>>;

/** Reads a file of the stopped database's data folder, by a path relative to it. `undefined`: there is none. */
export type ReadDataFile = (path: string) => Promise<Buffer | undefined>;

/** What the data folder itself says after a stop. */
export interface DataState {
  /** Of the data on disk, as the engine notes it. `null` where an engine notes none. */
  readonly version: string | null;
  /** The engine's own mark of a clean shutdown, in words for the manifest. */
  readonly mark: string;
  /** Why this data must not become a snapshot. */
  readonly problem?: string;
}

/** Where the data lies: a volume at `mountPath`, the data folder at or below it. */
export interface DataLocation {
  readonly mountPath: string;
  readonly dataPath: string;
}

/**
 * A kind of database and what must be known of it: plain data and pure functions, no I/O of its own.
 * To add one: one file that exports an Engine, one row in engines/index.ts, one test image.
 */
export interface Engine {
  readonly id: string;
  /** Repository names (last path segment) of images that are this engine, for `engine: auto`. */
  readonly imageNames: readonly string[];
  readonly defaultImage: string | undefined;
  readonly defaults: Credentials;
  /** The port inside the container. @throws `invalid-settings` */
  port(image: ImageFacts): number;
  /** From the image, never a constant: images move their data. @throws `invalid-settings` */
  location(image: ImageFacts, env: Env): DataLocation;
  /** The environment with which the image initialises an empty data folder. */
  containerEnv(credentials: Credentials): Env;
  /** Server arguments that trade durability for speed in test databases. */
  readonly relaxedArgs: readonly string[];
  /** Where the image looks for files that initialise an empty data folder. */
  readonly initPath: string | undefined;
  /**
   * Run inside the container until it exits 0: it must succeed only when the final server answers in the wanted
   * database, never for a temporary server that is there during initialisation.
   */
  readiness(credentials: Credentials): { readonly command: readonly string[]; readonly env: Env };
  url(endpoint: Endpoint): string;
  /** The connection in the variables of the engine's own clients. */
  clientEnv(endpoint: Endpoint): Env;
  /** Looks at the data folder of a database that has been stopped. */
  dataState(read: ReadDataFile): Promise<DataState>;
  /** The version of data that this image runs, comparable with `DataState.version`. `undefined`: it does not say. */
  imageVersion(image: ImageFacts): string | undefined;
}
