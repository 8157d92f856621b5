/**
 * Ways to bring a volume into a file and back, as bash scripts. They find in their environment: VOLUME and its folder on
 * this machine FOLDER, FILE (not there, or as `save` made it), BYTES that the volume holds on disk, the images IMAGE
 * (GNU tar) and BUSYBOX, and LABEL for the containers they make; ENGINE, of a database. `restore` fills a new volume. A
 * way that is `partial` does not bring back everything.
 */
export const ways = [
  {
    name: 'pipe',
    title: 'snapvol, pipe',
    save: '"$NODE" bench/copy.mjs save pipe',
    restore: '"$NODE" bench/copy.mjs restore pipe',
  },
  {
    name: 'trimmed',
    title: 'snapvol, without what is worthless',
    partial: true,
    save: 'TRIM=yes "$NODE" bench/copy.mjs save pipe',
    restore: '"$NODE" bench/copy.mjs restore pipe',
  },
  {
    name: 'archive',
    title: 'snapvol, archive API',
    save: '"$NODE" bench/copy.mjs save archive',
    restore: '"$NODE" bench/copy.mjs restore archive',
  },
  {
    name: 'recipe',
    title: 'docker run busybox tar czf',
    save: `docker run --rm --label "$LABEL" --volume "$VOLUME:/volume:ro" --volume "$(dirname "$FILE"):/backup" \\
      --entrypoint tar "$BUSYBOX" czf "/backup/$(basename "$FILE")" -C /volume .`,
    restore: `docker run --rm --label "$LABEL" --volume "$VOLUME:/volume" --volume "$(dirname "$FILE"):/backup:ro" \\
      --entrypoint tar "$BUSYBOX" xzf "/backup/$(basename "$FILE")" -C /volume`,
  },
  {
    name: 'host',
    title: 'host: tar and zstd -T0',
    save: 'tar --create --sparse --numeric-owner --directory "$FOLDER" . | zstd -q -T0 -3 -o "$FILE"',
    restore:
      'zstd -q -dc "$FILE" | tar --extract --preserve-permissions --numeric-owner --directory "$FOLDER"',
  },
  {
    name: 'actions-cache',
    title: "host: actions/cache's tar",
    save: `echo . >"$FILE.manifest"
      tar --posix -cf "$FILE" --exclude "$FILE" -P -C "$FOLDER" --files-from "$FILE.manifest" --use-compress-program zstdmt`,
    restore: 'tar -xf "$FILE" -P -C "$FOLDER" --use-compress-program unzstd',
  },
  {
    name: 'cp',
    title: 'host: cp -a',
    save: 'cp -a "$FOLDER" "$FILE"',
    restore: 'cp -a "$FILE/." "$FOLDER"',
  },
  {
    name: 'write',
    title: 'host: as many bytes written',
    restore: 'head -c "$BYTES" /dev/zero >"$FOLDER/zeros"',
  },
];

/** The pipe of another checkout, to compare before and after. */
export const before = {
  name: 'before',
  title: 'snapvol before, pipe',
  save: 'DIST=$BEFORE "$NODE" bench/copy.mjs save pipe',
  restore: 'DIST=$BEFORE "$NODE" bench/copy.mjs restore pipe',
};
