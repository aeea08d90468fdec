import { join } from 'node:path';
import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';
import { QutlassError } from '@qutlass/core-kernels';
import { checkpointError, show } from './errors.js';
import { exists } from './file-io.js';
import { isJsonObject, type JsonObject, readJsonObject } from './json-file.js';
import { TokenStream } from './token-stream.js';

const TOKENIZER_FILE = 'tokenizer.json';
const CONFIG_FILE = 'tokenizer_config.json';

export interface EncodeOptions {
  /** Add what the tokenizer puts around a text, such as the begin-of-text token. Default: true. */
  readonly addSpecialTokens?: boolean;
}

export interface DecodeOptions {
  /** Leave out tokens such as begin and end of text. Default: false. */
  readonly skipSpecialTokens?: boolean;
}

/** The part of `@huggingface/tokenizers` that is used; its own declarations do not resolve in ES modules. */
interface Backend {
  encode(
    text: string,
    options: { add_special_tokens: boolean },
  ): { ids: (number | undefined)[]; tokens: string[] };
  decode(ids: number[], options: { clean_up_tokenization_spaces: boolean }): string;
  id_to_token(id: number): string | undefined;
}

/** The tokenizer of a Hugging Face model directory: `tokenizer.json` and, if present, `tokenizer_config.json`. */
export class Tokenizer {
  /** Distinct tokens, added ones included. */
  readonly vocabularySize: number;
  /** May be above `vocabularySize - 1`: ids need not be contiguous. */
  readonly largestTokenId: number;
  readonly #backend: Backend;
  readonly #specialIds: ReadonlySet<number>;
  readonly #source: string;

  private constructor(source: string, backend: Backend, vocabulary: Vocabulary) {
    this.#source = source;
    this.#backend = backend;
    this.#specialIds = vocabulary.specialIds;
    this.vocabularySize = vocabulary.ids.size;
    this.largestTokenId = vocabulary.largestId;
  }

  /** @throws QutlassError QUTLASS_E_CHECKPOINT if a file is missing or malformed */
  static async load(directory: string): Promise<Tokenizer> {
    const source = join(directory, TOKENIZER_FILE);
    const tokenizer = await readJsonObject(source);
    const configPath = join(directory, CONFIG_FILE);
    const config = (await exists(configPath)) ? await readJsonObject(configPath) : {};
    const vocabulary = readVocabulary(tokenizer, source);
    let backend: Backend;
    try {
      backend = new HuggingFaceTokenizer(tokenizer, config);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw checkpointError(source, `expected a tokenizer, got one that cannot be built: ${reason}`, error);
    }
    return new Tokenizer(source, backend, vocabulary);
  }

  /** @throws QutlassError QUTLASS_E_ARGUMENT if a piece of `text` has no token and the tokenizer none for unknown text */
  encode(text: string, { addSpecialTokens = true }: EncodeOptions = {}): number[] {
    const { ids, tokens } = this.#backend.encode(text, { add_special_tokens: addSpecialTokens });
    return ids.map((id, index) => {
      if (id !== undefined) return id;
      throw new QutlassError(
        'QUTLASS_E_ARGUMENT',
        `text: expected only tokens of ${this.#source}, got ${show(tokens[index])}, which has no id`,
      );
    });
  }

  /**
   * The text of `ids`. Bytes that are not UTF-8 become U+FFFD. Spaces are never cleaned up: the text is what the tokens
   * say.
   *
   * @throws QutlassError QUTLASS_E_ARGUMENT if an id is not in the vocabulary
   */
  decode(ids: readonly number[], { skipSpecialTokens = false }: DecodeOptions = {}): string {
    for (const [index, id] of ids.entries()) {
      if (this.#backend.id_to_token(id) === undefined) {
        throw new QutlassError(
          'QUTLASS_E_ARGUMENT',
          `ids[${index}]: expected an id of the vocabulary, got ${id}`,
        );
      }
    }
    const shown = skipSpecialTokens ? ids.filter((id) => !this.isSpecial(id)) : [...ids];
    return shown.length === 0 ? '' : this.#backend.decode(shown, { clean_up_tokenization_spaces: false });
  }

  /** Whether `id` marks structure, such as the begin or end of a text, and not text. */
  isSpecial(id: number): boolean {
    return this.#specialIds.has(id);
  }

  /** A decoder that takes one token at a time, for text that is shown while it is generated. */
  createDecoder(options: DecodeOptions = {}): TokenStream {
    return new TokenStream(this, options);
  }

  /**
   * Checks that a model knows every token.
   *
   * @throws QutlassError QUTLASS_E_CHECKPOINT
   */
  assertMatches({ vocabSize }: { readonly vocabSize: number }): void {
    if (this.largestTokenId >= vocabSize) {
      throw checkpointError(
        this.#source,
        `expected token ids below the model's vocab_size, ${vocabSize}, got ${this.largestTokenId}`,
      );
    }
  }
}

interface Vocabulary {
  readonly ids: ReadonlySet<number>;
  readonly largestId: number;
  readonly specialIds: ReadonlySet<number>;
}

/** The ids of `tokenizer.json`: `model.vocab` maps tokens to ids or lists [token, score]; `added_tokens` lists objects. */
function readVocabulary({ model, added_tokens: addedTokens }: JsonObject, source: string): Vocabulary {
  if (!isJsonObject(model)) throw checkpointError(source, `model: expected an object, got ${show(model)}`);
  const { vocab } = model;
  const ids = new Set<number>();
  if (Array.isArray(vocab)) for (const id of vocab.keys()) ids.add(id);
  else if (isJsonObject(vocab)) {
    for (const [token, id] of Object.entries(vocab))
      ids.add(requireId(id, `model.vocab.${show(token)}`, source));
  } else throw checkpointError(source, `model.vocab: expected an object or array, got ${show(vocab)}`);

  if (!Array.isArray(addedTokens)) {
    throw checkpointError(source, `added_tokens: expected an array, got ${show(addedTokens)}`);
  }
  const specialIds = new Set<number>();
  for (const [index, token] of (addedTokens as readonly unknown[]).entries()) {
    if (!isJsonObject(token) || typeof token.content !== 'string') {
      throw checkpointError(
        source,
        `added_tokens[${index}]: expected an object with id and content, got ${show(token)}`,
      );
    }
    const id = requireId(token.id, `added_tokens[${index}].id`, source);
    ids.add(id);
    if (token.special === true) specialIds.add(id);
  }
  return { ids, largestId: [...ids].reduce((a, b) => Math.max(a, b), -1), specialIds };
}

/** Ids index arrays; a hostile one must not make them huge. */
const MAX_TOKEN_ID = 2 ** 24;

function requireId(id: unknown, key: string, source: string): number {
  if (typeof id === 'number' && Number.isInteger(id) && id >= 0 && id <= MAX_TOKEN_ID) return id;
  throw checkpointError(source, `${key}: expected an integer from 0 to ${MAX_TOKEN_ID}, got ${show(id)}`);
}
