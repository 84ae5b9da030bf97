/** Which page is shown: the part of the address behind `#`, which no server sees. */

import { useSyncExternalStore } from 'react';

export interface Route {
  /** Decoded parts of the path: `#/runs/small/rounds` → `['runs', 'small', 'rounds']`. */
  readonly parts: readonly string[];
  readonly query: URLSearchParams;
}

export function parseHash(hash: string): Route {
  const [path = '', query = ''] = hash.replace(/^#\/?/, '').split('?', 2);
  const parts = path.split('/').filter((part) => part !== '');
  return { parts: parts.map(decoded), query: new URLSearchParams(query) };
}

/** An address that somebody typed may hold a lone `%`. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export function href(parts: readonly string[], query: Readonly<Record<string, string>> = {}): string {
  const search = new URLSearchParams(query).toString();
  return `#/${parts.map(encodeURIComponent).join('/')}${search === '' ? '' : `?${search}`}`;
}

export function useRoute(): Route {
  const hash = useSyncExternalStore(listen, () => window.location.hash);
  return parseHash(hash);
}

function listen(act: () => void): () => void {
  window.addEventListener('hashchange', act);
  return () => window.removeEventListener('hashchange', act);
}

export function goTo(address: string): void {
  window.location.hash = address;
}

/** A key behind `#…?key=` is taken out of the address, so that it is in no history and on no screen. */
export function takeKey(): string | undefined {
  const { parts, query } = parseHash(window.location.hash);
  const key = query.get('key');
  if (key === null) return undefined;
  window.history.replaceState(null, '', href(parts));
  return key;
}
