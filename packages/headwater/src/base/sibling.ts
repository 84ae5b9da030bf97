/**
 * The URL of a module beside the calling one: sources are `.ts`, an installed package has `.js`. The compiler rewrites
 * import statements but not the paths given to workers and child processes.
 *
 * `siblingModule(import.meta.url, './worker')`
 */
export function siblingModule(importMetaUrl: string, path: string): URL {
  return new URL(path + (importMetaUrl.endsWith('.ts') ? '.ts' : '.js'), importMetaUrl);
}
