import { silentLog } from '../../src/index.ts';
import type { Log } from '../../src/log.ts';

export interface RecordingLog extends Log {
  /** `info: ...`, `warn: ...`, in order. */
  readonly lines: string[];
}

export function createRecordingLog(): RecordingLog {
  const lines: string[] = [];
  return {
    ...silentLog,
    lines,
    info: (message) => void lines.push(`info: ${message}`),
    warn: (message) => void lines.push(`warn: ${message}`),
  };
}
