/** Addresses to listen on. */

/** Reachable from this machine only. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}

export function hostInUrl(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}
