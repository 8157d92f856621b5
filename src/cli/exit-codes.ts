import type { ErrorCode } from '../errors.ts';

/** What the process ends with. Scripts rely on these: docs/cli.md has the same table, and no number changes. */
export const exitCodes: Readonly<Record<ErrorCode, number>> = {
  internal: 1,
  'invalid-settings': 2,
  'docker-unreachable': 3,
  'image-unavailable': 4,
  'name-taken': 5,
  'port-taken': 6,
  'volume-taken': 7,
  'container-missing': 8,
  'container-unhealthy': 9,
  'seed-failed': 10,
  'check-failed': 11,
  'unclean-shutdown': 12,
  'copy-failed': 13,
  'snapshot-missing': 14,
  'snapshot-corrupt': 15,
  'snapshot-incompatible': 16,
  'store-unavailable': 17,
  'hook-failed': 18,
  'volume-missing': 19,
  /** Encrypted, and no key was given. */
  'snapshot-locked': 20,
  /** Encrypted, and not for the key that was given. */
  'wrong-key': 21,
  'snapshot-refused': 22,
  /** Something that the container engine would not do. */
  'engine-refused': 23,
  /** Something that the operating system would not do: a folder without rights, a full disk. */
  'system-error': 24,
  /** As a shell has it for a process that SIGINT ended. */
  cancelled: 130,
};
