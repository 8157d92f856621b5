// The library. The code is in bundle.js.
import { loadLibrary } from './bundle.js';
export const { AppError, composeSnapshotTools, composeStore, composeStoreTools, composeTools, inputNames, inspectSnapshot, listSnapshots, parseSettings, parseStore, removeSnapshot, requireNameFree, restore, save, silentLog, start, stop, verifySnapshot, version } = await loadLibrary();
