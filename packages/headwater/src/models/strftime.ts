/** Python's `strftime` for chat templates: C locale, UTC. Directives it does not know stay as they are. */

const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const MONTHS = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
];

const DIRECTIVES: Readonly<Record<string, (date: Date) => string>> = {
  a: (date) => nameIn(DAYS, date.getUTCDay()).slice(0, 3),
  A: (date) => nameIn(DAYS, date.getUTCDay()),
  b: (date) => nameIn(MONTHS, date.getUTCMonth()).slice(0, 3),
  B: (date) => nameIn(MONTHS, date.getUTCMonth()),
  d: (date) => padded(date.getUTCDate()),
  H: (date) => padded(date.getUTCHours()),
  I: (date) => padded(((date.getUTCHours() + 11) % 12) + 1),
  j: (date) => padded(dayOfYear(date), 3),
  m: (date) => padded(date.getUTCMonth() + 1),
  M: (date) => padded(date.getUTCMinutes()),
  p: (date) => (date.getUTCHours() < 12 ? 'AM' : 'PM'),
  S: (date) => padded(date.getUTCSeconds()),
  y: (date) => padded(date.getUTCFullYear() % 100),
  Y: (date) => String(date.getUTCFullYear()),
  '%': () => '%',
};

export function strftime(epochMs: number, format: string): string {
  const date = new Date(epochMs);
  return format.replaceAll(/%([A-Za-z%])/g, (text, letter: string) => DIRECTIVES[letter]?.(date) ?? text);
}

function nameIn(names: readonly string[], index: number): string {
  return names[index] ?? '';
}

function padded(value: number, width = 2): string {
  return String(value).padStart(width, '0');
}

function dayOfYear(date: Date): number {
  const start = Date.UTC(date.getUTCFullYear(), 0, 1);
  const today = Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate());
  return (today - start) / 86_400_000 + 1;
}
