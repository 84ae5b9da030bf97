/**
 * Keys of a Hugging Face config.json that change no logit of a causal language model. Everything else must be known to
 * the architecture: an unknown key is refused, never skipped, because it may change the computation.
 */

const BOOKKEEPING = [
  '_name_or_path',
  '_commit_hash',
  '_from_model_config',
  '_attn_implementation_autoset',
  '_flash_attn_2_enabled',
  'attn_implementation',
  'transformers_version',
  'transformers.js_config',
  'tokenizer_class',
  'is_llama_config',
  'unsloth_fixed',
  'unsloth_version',
];

/** How the weights were made, stored or sliced; not what they compute. */
const TRAINING_AND_MEMORY = [
  'dtype',
  'torch_dtype',
  'initializer_range',
  'pretraining_tp',
  'torchscript',
  'use_bfloat16',
  'tf_legacy_loss',
  'chunk_size_feed_forward',
  'use_cache',
  'cache_implementation',
  'return_dict',
  'output_attentions',
  'output_hidden_states',
  'gradient_checkpointing',
];

const TOKEN_IDS = [
  'bos_token_id',
  'eos_token_id',
  'pad_token_id',
  'sep_token_id',
  'unk_token_id',
  'decoder_start_token_id',
];

/** Generation defaults that old versions of transformers wrote into config.json. */
const GENERATION = [
  'bad_words_ids',
  'begin_suppress_tokens',
  'diversity_penalty',
  'do_sample',
  'early_stopping',
  'encoder_no_repeat_ngram_size',
  'exponential_decay_length_penalty',
  'forced_bos_token_id',
  'forced_eos_token_id',
  'length_penalty',
  'max_length',
  'min_length',
  'no_repeat_ngram_size',
  'num_beam_groups',
  'num_beams',
  'num_return_sequences',
  'output_scores',
  'prefix',
  'remove_invalid_values',
  'repetition_penalty',
  'return_dict_in_generate',
  'suppress_tokens',
  'task_specific_params',
  'temperature',
  'top_k',
  'top_p',
  'typical_p',
];

/** Of classification heads: `architectures` refuses those of decoders, classification-head.ts reads those of encoders. */
const LABELS = ['finetuning_task', 'id2label', 'label2id', 'num_labels', 'problem_type'];

export const HARMLESS_KEYS: ReadonlySet<string> = new Set([
  ...BOOKKEEPING,
  ...TRAINING_AND_MEMORY,
  ...TOKEN_IDS,
  ...GENERATION,
  ...LABELS,
]);
