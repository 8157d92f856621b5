/** How far a long copy has come, in bytes. `totalBytes` where it is known beforehand. */
export interface Progress {
  readonly label: string;
  readonly bytes: number;
  readonly totalBytes?: number;
}

/** Where use cases write. Implementations: the Actions log, the terminal, and a recording one in tests. */
export interface Log {
  debug(message: string): void;
  info(message: string): void;
  warn(message: string): void;
  /** Runs `work` with its lines under one heading. */
  group<T>(title: string, work: () => Promise<T>): Promise<T>;
  /** Called often; a log may show the newest or nothing. */
  progress(progress: Progress): void;
  /** From now on `secret` never appears in any line. */
  mask(secret: string): void;
}
