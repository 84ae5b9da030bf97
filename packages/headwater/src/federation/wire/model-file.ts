/** Which files of a model folder a coordinator hands out and a client takes: what a model needs, no code, no pickles. */

const MODEL_FILE =
  /^(config\.json|generation_config\.json|tokenizer[\w-]*\.(json|model)|chat_template\.(jinja|json)|vocab\.json|merges\.txt|special_tokens_map\.json|added_tokens\.json|model(-\d{5}-of-\d{5})?\.safetensors|model\.safetensors\.index\.json)$/;

/** The whole name: no folder can hide in it. */
export function isModelFile(name: string): boolean {
  return MODEL_FILE.test(name);
}

/** A hub id `owner/name[@revision]`. */
export function isHubId(source: string): boolean {
  return /^[A-Za-z0-9][\w.-]*\/[A-Za-z0-9][\w.-]*(@[\w./-]+)?$/.test(source);
}
