import { type JSONPath, printParseErrorCode, visit } from 'jsonc-parser';
import { checkpointError, show } from './errors.js';

export interface StrictJsonRules {
  /** Levels of objects and arrays that are allowed; bounds the recursion over a hostile file. */
  readonly maxDepth: number;
  /** Sees each number as it is written, which JSON.parse does not keep (`1.0` and `1` become the same). */
  readonly onNumber?: (text: string, path: JSONPath) => void;
}

const UNPAIRED_SURROGATE = /\p{Surrogate}/u;

/** Whether `text` has a UTF-8 form: no half of a surrogate pair stands alone. */
export function isUnicode(text: string): boolean {
  return !UNPAIRED_SURROGATE.test(text);
}

/**
 * Parses RFC 8259 JSON, refusing what JSON.parse lets through: an object with the same key twice, nesting without
 * bound, and strings that are not Unicode (an escaped half of a surrogate pair).
 *
 * @param where the prefix of error messages: a file and what in it holds the text
 * @throws QutlassError QUTLASS_E_CHECKPOINT
 */
export function parseStrictJson(text: string, where: string, rules: StrictJsonRules): unknown {
  checkJson(text, where, rules);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw checkpointError(where, 'expected valid JSON', error);
  }
}

function checkJson(text: string, where: string, rules: StrictJsonRules): void {
  const keysOfOpenObjects: Set<string>[] = [];
  let depth = 0;
  const open = (offset: number) => {
    depth += 1;
    if (depth > rules.maxDepth) {
      throw checkpointError(
        where,
        `expected at most ${rules.maxDepth} levels of nesting, got more at character ${offset}`,
      );
    }
  };
  const checkUnicode = (value: string, offset: number) => {
    if (!isUnicode(value)) {
      throw checkpointError(where, `expected Unicode text, got an unpaired surrogate at character ${offset}`);
    }
  };
  visit(
    text,
    {
      onObjectBegin: (offset) => {
        open(offset);
        keysOfOpenObjects.push(new Set());
      },
      onObjectEnd: () => {
        depth -= 1;
        keysOfOpenObjects.pop();
      },
      onArrayBegin: (offset) => open(offset),
      onArrayEnd: () => {
        depth -= 1;
      },
      onObjectProperty: (key, offset, _length, _line, _column, path) => {
        checkUnicode(key, offset);
        const keys = keysOfOpenObjects.at(-1);
        if (keys?.has(key)) {
          const owner = path().map((segment) => `${show(segment)}: `);
          throw checkpointError(where, `${owner.join('')}expected unique keys, got ${show(key)} twice`);
        }
        keys?.add(key);
      },
      onLiteralValue: (value: unknown, offset, length, _line, _column, path) => {
        if (typeof value === 'string') checkUnicode(value, offset);
        if (typeof value === 'number') rules.onNumber?.(text.slice(offset, offset + length), path());
      },
      onError: (code, offset) => {
        throw checkpointError(
          where,
          `expected valid JSON, got ${printParseErrorCode(code)} at character ${offset}`,
        );
      },
    },
    { disallowComments: true, allowTrailingComma: false },
  );
}
