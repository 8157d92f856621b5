export type Row = readonly string[];

export function table(heads: Row, rows: readonly Row[]): string {
  return align([heads, ...rows]);
}

/** Columns as wide as their widest cell, the last one of each row as it is. */
export function align(rows: readonly Row[]): string {
  const shown = rows.map((row) => row.map(printable));
  const widths: number[] = [];
  for (const row of shown) {
    for (const [i, cell] of row.slice(0, -1).entries()) {
      widths[i] = Math.max(cell.length, widths[i] ?? 0);
    }
  }
  return shown
    .map((row) =>
      row
        .map((cell, i) => (i < row.length - 1 ? cell.padEnd(widths[i] ?? 0) : cell))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** Names and keys come from manifests, which others may have written: they must not steer the terminal. */
function printable(cell: string): string {
  // eslint-disable-next-line no-control-regex -- control characters are what is looked for
  return cell.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, '?');
}
