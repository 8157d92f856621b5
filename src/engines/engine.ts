import type { ImageFacts } from '../runtime/runtime.ts';
import type { LeftOut } from '../snapshot/manifest.ts';

/** What the user said of the database; defaults are the engine's. Empty where an engine has no such thing. */
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

/** A command to be run inside the database's container. Secrets are in `env`, never in `command`. */
export interface InnerCommand {
  readonly command: readonly string[];
  readonly env: Env;
}

/** The first 64 KiB of a file in the data folder, by a path relative to it. `undefined`: there is none. */
export type ReadDataFile = (path: string) => Promise<Buffer | undefined>;

/** What the data folder itself says. */
export interface DataState {
  /**
   * Of the data on disk, as the engine notes it, cut to what decides who may read it (Postgres: the major). `null` where
   * an engine notes none.
   */
  readonly version: string | null;
  /** The engine's own mark of how the data was left, in words for the manifest. */
  readonly mark: string;
  /** Why this must never become a snapshot: there is no data of this engine. */
  readonly unusable?: string;
  /** Why this is not what a clean shutdown leaves. */
  readonly unclean?: string;
  /** True when no item is in the files: wrong for a server that holds some. Engines with `itemCount` tell. */
  readonly empty?: boolean;
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
  /** Repository names (last path segment) of images that are this engine, where `engine` is not given. */
  readonly imageNames: readonly string[];
  readonly defaultImage: string | undefined;
  readonly defaults: Credentials;
  /** The database that the image makes for a user that is not the default one. Without it: always the default. */
  readonly defaultDatabase?: (user: string) => string;
  /** Why the image cannot be given these. */
  readonly credentialsProblem?: (credentials: Credentials) => string | undefined;
  /** The port inside the container. @throws `invalid-settings` */
  port(image: ImageFacts): number;
  /** From what the image says of itself; a constant only where all images have it there. @throws `invalid-settings` */
  location(image: ImageFacts, env: Env): DataLocation;
  /**
   * What `location` will read from the environment of an image that is not here yet, by its reference. A wrong guess costs a
   * look-up in vain, no more.
   */
  readonly expectedEnv?: (reference: string) => Env;
  /**
   * The environment with which the image initialises an empty data folder. Pure, and with the password as it is, alone or
   * beside other text: a later `save` reads it from there.
   */
  containerEnv(credentials: Credentials): Env;
  /**
   * `NAME=VALUE`: what the image wants in its environment to take an empty password, any of them; `yes` stands for
   * whatever does not say no. Without it, an engine with a default password takes no empty one.
   */
  readonly emptyPassword?: readonly string[];
  /** Variables, besides those of `containerEnv`, by which the image would make another login. */
  readonly otherLogin?: readonly string[];
  /** Instead of the image's own, which would keep the stop signal from the server. */
  readonly entrypoint?: readonly string[];
  /** Server arguments that trade durability for speed in test databases. */
  readonly relaxedArgs: readonly string[];
  /** Server arguments that credentials need where the image takes none from its environment. */
  readonly credentialArgs?: (credentials: Credentials) => readonly string[];
  /** Where the image looks for files that initialise an empty data folder. */
  readonly initPath: string | undefined;
  /**
   * Run inside the container until it exits 0: it must succeed only when the final server answers in the wanted
   * database, never for a temporary server that is there during initialisation.
   */
  readiness(credentials: Credentials): InnerCommand;
  /** Why restored data is not safe with the server that serves it now, from what its `readiness` has printed. */
  readonly restoredProblem?: (printed: string) => string | undefined;
  url(endpoint: Endpoint): string;
  /** The connection in the variables of the engine's own clients. */
  clientEnv(endpoint: Endpoint): Env;
  /** Makes the server shut down by itself, where the stop signal alone would not write everything to disk. */
  readonly shutdown?: (credentials: Credentials) => InnerCommand;
  /** With which a server ends that has shut down by itself. */
  readonly cleanExitCodes: readonly number[];
  /** What to do about one that has ended with another code; without it: a larger `stop-timeout` where it was killed. */
  readonly uncleanHint?: (exitCode: number, container: string) => string;
  /** Makes the server hand to its files all that it has committed: with `relaxedArgs` it may keep the last of it. */
  readonly flush?: (credentials: Credentials) => InnerCommand;
  /**
   * Prints the data folder, by the server's own word: a path on a line of its own. Engines without it say nothing of their
   * data: a volume with nothing in it is all that can be seen.
   */
  readonly dataFolder?: (credentials: Credentials) => InnerCommand;
  /** Prints where data lies outside of the data folder: paths, one a line; relative ones do not count. */
  readonly dataFiles?: (credentials: Credentials) => InnerCommand;
  /** Exits 0 when a copy of the paused server's files would hold everything. Without it: it always does. */
  readonly pausable?: (credentials: Credentials) => InnerCommand & { readonly refusal: string };
  /**
   * Prints how many items without an expiry the server holds, in engines that may read other files at their next start,
   * and say nothing.
   */
  readonly itemCount?: (credentials: Credentials) => InnerCommand;
  /**
   * Prints the largest tables of the wanted database by the engine's own catalogue, the largest first: `BYTES<TAB>NAME`, at
   * most ten lines. Gives up by itself where it would have to wait for long.
   */
  readonly largestTables?: (credentials: Credentials) => InnerCommand;
  /** Looks at the data folder of a database that has been stopped, or paused. */
  dataState(read: ReadDataFile, credentials: Credentials): Promise<DataState>;
  /**
   * What need not be copied of a data folder whose server has shut down, as patterns of paths relative to it: no server
   * will ever read it. Whatever is not certain is not among it. Without it: everything is copied.
   */
  readonly worthless?: (read: ReadDataFile) => Promise<readonly LeftOut[]>;
  /**
   * The version of the server in this image: the same text as the `DataState.version` of data that it would not upgrade.
   * `undefined`: it does not say.
   */
  imageVersion(image: ImageFacts): string | undefined;
  /**
   * Why a server of version `image` cannot take over data of version `data`. `undefined` when it can, where they differ
   * by an upgrade that the server makes by itself.
   */
  versionProblem(data: string, image: string): string | undefined;
}
