// The library. The code is in bundle.js.
import { loadLibrary } from './bundle.js';
export const { AppError, composeSnapshotTools, composeStore, composeStoreTools, composeTools, inputNames, inspectSnapshot, isReplaceable, listSnapshots, parseSettings, parseStore, pruneSnapshots, removeSnapshot, requireNameFree, restore, save, silentLog, start, stop, verifySnapshot, verifySnapshots, version, versionedKey } = await loadLibrary();
