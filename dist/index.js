// The library. The code is in bundle.js.
import { loadLibrary } from './bundle.js';
export const { AppError, clone, composeArchiveTools, composeSnapshotTools, composeStore, composeStoreTools, composeTools, exportVolume, findSnapshot, importArchive, inputNames, inspectSnapshot, isReplaceable, listSnapshots, parseSettings, parseStore, plainFormats, pruneSnapshots, recover, removeSnapshot, requireNameFree, reset, restore, save, saveVolumes, silentLog, start, stop, verifySnapshot, verifySnapshots, version, versionedKey } = await loadLibrary();
