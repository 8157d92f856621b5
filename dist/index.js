// The library. The code is in bundle.js.
import { loadLibrary } from './bundle.js';
export const { AppError, composeArchiveTools, composeSnapshotTools, composeStore, composeStoreTools, composeTools, exportVolume, importArchive, inputNames, inspectSnapshot, isReplaceable, listSnapshots, parseSettings, parseStore, plainFormats, pruneSnapshots, removeSnapshot, requireNameFree, restore, save, silentLog, start, stop, verifySnapshot, verifySnapshots, version, versionedKey } = await loadLibrary();
