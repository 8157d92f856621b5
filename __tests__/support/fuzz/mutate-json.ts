import type { Random } from './random.ts';

const values: readonly unknown[] = [
  ...[null, true, 0, -1, 0.5, 1e308, Number.MAX_SAFE_INTEGER, 2 ** 60, '', ' ', '..', '../x'],
  ...['/', '/etc', 'x'.repeat(70_000), '\0', '\x1b[31m', 'con', 'data.tar', 'manifest.json'],
  ...['SHA256SUMS', [], {}, [[]], { a: 1 }, 'volumes', 'database', 'zstd', 'none', 2, 1],
];
const names = ['__proto__', 'constructor', 'toString', 'extra', '', 'format', 'kind', 'volumes'];

/** The JSON text of `text` with one thing in it changed, wherever that is. */
export function mutateJson(text: string, random: Random): string {
  const json: unknown = JSON.parse(text);
  const places = placesIn(json);
  const { holder, key } = random.of(places);
  switch (random.below(5)) {
    case 0:
      Reflect.deleteProperty(holder, key);
      break;
    case 1:
    case 2:
      holder[key] = random.of(values);
      break;
    case 3:
      // Not by assignment: that would set the prototype.
      Object.defineProperty(holder, random.of(names), {
        value: random.of(values),
        enumerable: true,
      });
      break;
    default:
      if (Array.isArray(holder))
        holder.push(...Array.from({ length: 3 }, () => holder[0] as unknown));
      else holder[random.of(names)] = structuredClone(holder[key]);
  }
  return JSON.stringify(json);
}

interface Place {
  readonly holder: Record<string, unknown>;
  readonly key: string;
}

function placesIn(value: unknown): Place[] {
  if (typeof value !== 'object' || value === null) return [];
  // A cast: an object, or a list, which has keys as well.
  const holder = value as Record<string, unknown>;
  return Object.keys(holder).flatMap((key) => [{ holder, key }, ...placesIn(holder[key])]);
}
