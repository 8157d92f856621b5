export const number = (value) => value.toFixed(value < 10 ? 2 : 1);
export const megabytes = (bytes) => `${(bytes / 1e6).toFixed(bytes < 10e6 ? 1 : 0)} MB`;
export const range = (numbers) => `${number(Math.min(...numbers))}–${number(Math.max(...numbers))}`;

export function table(head, rows) {
  const line = (cells) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map((_, i) => (i === 0 ? '---' : '---:'))), ...rows.map(line)];
}
