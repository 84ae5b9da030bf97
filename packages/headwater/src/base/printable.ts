/** Texts of others go to a terminal: without control characters (escape sequences), on one line, and no longer than a page. */
export function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, ' ').slice(0, 1000);
}
