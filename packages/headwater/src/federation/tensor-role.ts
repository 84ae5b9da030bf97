/** What a method does with a tensor of the tuning in a round. */

/**
 * `shared` tensors are trained and travel; `personal` ones are trained and stay with their owner from round to round;
 * `frozen` ones stay as they began; `given` ones are changed by the server and used, not trained, by clients (a correction
 * of the base, a control variate). The last two have neither gradient nor optimizer state.
 */
export type TensorRole = 'shared' | 'personal' | 'frozen' | 'given';
