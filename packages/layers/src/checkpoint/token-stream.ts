import type { DecodeOptions, Tokenizer } from './tokenizer.js';

const REPLACEMENT = '\uFFFD';

/**
 * Turns tokens into text one at a time. The pieces, joined, are `tokenizer.decode` of all tokens; none ends inside a
 * character whose bytes are spread over several tokens.
 */
export class TokenStream {
  readonly #tokenizer: Tokenizer;
  readonly #skipSpecialTokens: boolean;
  /** The tokens of the last piece, since decoders treat the start of a text differently, then the pending ones. */
  #ids: number[] = [];
  #contextTokens = 0;
  /** How much of the text of `#ids` was given out. */
  #given = 0;

  constructor(tokenizer: Tokenizer, { skipSpecialTokens = false }: DecodeOptions = {}) {
    this.#tokenizer = tokenizer;
    this.#skipSpecialTokens = skipSpecialTokens;
  }

  /**
   * The text that `id` completes; empty while a character is incomplete.
   *
   * @throws QutlassError QUTLASS_E_ARGUMENT if the id is not in the vocabulary; the stream is as before
   */
  push(id: number): string {
    if (this.#skipSpecialTokens && this.#tokenizer.isSpecial(id)) return '';
    const text = this.#tokenizer.decode([...this.#ids, id]);
    this.#ids.push(id);
    // Only the last U+FFFD can still become a character: those before it stand for bytes that no byte will complete.
    const complete = !text.endsWith(REPLACEMENT);
    const piece = text.slice(this.#given, complete ? undefined : -1);
    this.#given += piece.length;
    if (complete && piece !== '') this.#forgetContext();
    return piece;
  }

  /** The rest, with U+FFFD for an incomplete character. The stream can then start a new text. */
  end(): string {
    const rest = this.#tokenizer.decode(this.#ids).slice(this.#given);
    this.#ids = [];
    this.#contextTokens = 0;
    this.#given = 0;
    return rest;
  }

  #forgetContext(): void {
    this.#ids = this.#ids.slice(this.#contextTokens);
    this.#contextTokens = this.#ids.length;
    this.#given = this.#tokenizer.decode(this.#ids).length;
  }
}
