/** The registries of a run with the plug-ins that its recipe, or the owner, names. */

import { withPlugins } from '../recipe/plugins-node.ts';
import { builtinRegistries, type RunRegistries } from './records.ts';

/** Throws PLUGIN_INVALID. */
export function registriesWith(plugins: readonly string[]): Promise<RunRegistries> {
  return withPlugins(builtinRegistries, plugins);
}
