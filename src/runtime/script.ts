/** A shell script of the user's, run on this machine. */
export interface Script {
  readonly text: string;
  readonly env: Readonly<Record<string, string>>;
  /** Where it runs, from the workspace. Absent: there. */
  readonly cwd?: string;
}

/** Resolves with the exit code; rejects with the signal's reason when cancelled, with all its processes ended. */
export type RunScript = (script: Script, signal: AbortSignal) => Promise<number>;
