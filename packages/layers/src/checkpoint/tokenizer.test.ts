import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SafetensorsFile } from './safetensors-reader.js';
import { failure, temporaryDirectory, testdata } from './test-support.js';
import { Tokenizer } from './tokenizer.js';

const tinyLlama = join(testdata, 'models/tiny-llama');
const tokenizer = await Tokenizer.load(tinyLlama);

async function referenceIds(name: string): Promise<number[]> {
  await using file = await SafetensorsFile.open(join(tinyLlama, 'reference.safetensors'));
  return [...new Int32Array((await file.read(name)).buffer)];
}

/** A copy of the tokenizer with a changed `tokenizer.json`. */
async function changed(change: (json: Record<string, unknown>) => unknown): Promise<string> {
  const directory = await temporaryDirectory();
  const json: Record<string, unknown> = JSON.parse(await readFile(join(tinyLlama, 'tokenizer.json'), 'utf8'));
  await writeFile(join(directory, 'tokenizer.json'), JSON.stringify(change(json)));
  return directory;
}

// Ids of the reference implementation (tokenizers 0.23.2, Rust).
const samples: readonly (readonly [string, readonly number[]])[] = [
  ['def f(x):\n    return x + 1\n', [491, 287, 9, 89, 313, 264, 344, 625, 480, 420, 200]],
  [
    'naïve 😀 日本語\t\0',
    [
      79, 66, 129, 109, 416, 222, 174, 255, 248, 224, 222, 164, 247, 100, 164, 252, 107, 166, 105, 254, 199,
      190,
    ],
  ],
  ['<s>import os</s>', [0, 769, 827, 1]],
  ['', []],
  ["don't  stop . Now , ok ?", [69, 266, 973, 222, 446, 505, 222, 15, 341, 591, 222, 13, 304, 76, 222, 32]],
];

describe('Tokenizer', () => {
  it.each(samples)('encodes %j as the reference does, and back', (text, ids) => {
    expect(tokenizer.encode(text)).toEqual(ids);
    expect(tokenizer.decode(ids)).toBe(text);
  });

  it('decodes and encodes a long text to the same tokens', async () => {
    const ids = await referenceIds('heldout_ids');
    expect(tokenizer.encode(tokenizer.decode(ids))).toEqual(ids);
  });

  it('leaves out special tokens on request', () => {
    expect(tokenizer.decode([0, 769, 827, 1], { skipSpecialTokens: true })).toBe('import os');
    expect(tokenizer.decode([0, 1], { skipSpecialTokens: true })).toBe('');
    expect([0, 1, 2].map((id) => tokenizer.isSpecial(id))).toEqual([true, true, false]);
  });

  it('adds special tokens unless told not to', async () => {
    const prefixed = await Tokenizer.load(
      await changed((json) => ({
        ...json,
        post_processor: {
          type: 'TemplateProcessing',
          single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
          pair: [],
          special_tokens: { '<s>': { id: '<s>', ids: [0], tokens: ['<s>'] } },
        },
      })),
    );
    expect(prefixed.encode('import os')).toEqual([0, 769, 827]);
    expect(prefixed.encode('import os', { addSpecialTokens: false })).toEqual([769, 827]);
  });

  it('knows its vocabulary', () => {
    expect([tokenizer.vocabularySize, tokenizer.largestTokenId]).toEqual([1024, 1023]);
    expect(() => tokenizer.assertMatches({ vocabSize: 1024 })).not.toThrow();
  });

  it('refuses a model with fewer tokens', async () => {
    expect(await failure(() => tokenizer.assertMatches({ vocabSize: 1023 }))).toBe(
      `QUTLASS_E_CHECKPOINT ${join(tinyLlama, 'tokenizer.json')}: expected token ids below the model's vocab_size, 1023, got 1023`,
    );
  });

  it.each([1024, -1, 1.5, Number.NaN])('refuses to decode the id %d', async (id) => {
    expect(await failure(() => tokenizer.decode([5, id]))).toBe(
      `QUTLASS_E_ARGUMENT ids[1]: expected an id of the vocabulary, got ${id}`,
    );
  });

  it('refuses text that the vocabulary cannot express', async () => {
    const directory = await changed((json) => {
      const model = json.model as { vocab: Record<string, number> };
      const { '!': _removed, ...vocab } = model.vocab;
      return { ...json, model: { ...model, vocab, merges: [], unk_token: '<unk>' } };
    });
    const limited = await Tokenizer.load(directory);
    expect(await failure(() => limited.encode('a!'))).toBe(
      `QUTLASS_E_ARGUMENT text: expected only tokens of ${join(directory, 'tokenizer.json')}, got "<unk>", which has no id`,
    );
  });

  it('needs no tokenizer_config.json', async () => {
    const directory = await changed((json) => json);
    expect((await Tokenizer.load(directory)).encode('import os')).toEqual([769, 827]);
  });
});

describe('Tokenizer.load refuses', () => {
  it('a directory without tokenizer.json', async () => {
    const directory = await temporaryDirectory();
    expect(await failure(() => Tokenizer.load(directory))).toBe(
      `QUTLASS_E_CHECKPOINT ${join(directory, 'tokenizer.json')}: cannot be read (ENOENT)`,
    );
  });

  it('a truncated file', async () => {
    const directory = await temporaryDirectory();
    await cp(tinyLlama, directory, { recursive: true });
    const path = join(directory, 'tokenizer.json');
    await writeFile(path, (await readFile(path)).subarray(0, 20));
    expect(await failure(() => Tokenizer.load(directory))).toBe(
      `QUTLASS_E_CHECKPOINT ${path}: expected valid JSON, got CloseBraceExpected at character 20`,
    );
    await rm(path);
    await writeFile(join(directory, 'tokenizer_config.json'), 'x');
    await cp(join(tinyLlama, 'tokenizer.json'), path);
    expect(await failure(() => Tokenizer.load(directory))).toBe(
      `QUTLASS_E_CHECKPOINT ${join(directory, 'tokenizer_config.json')}: expected valid JSON, got InvalidSymbol at character 0`,
    );
  });

  it.each([
    [{ model: null }, 'model: expected an object, got null'],
    [{ model: { type: 'BPE' } }, 'model.vocab: expected an object or array, got nothing'],
    [
      { model: { type: 'BPE', vocab: { a: -1 } } },
      'model.vocab."a": expected an integer from 0 to 16777216, got -1',
    ],
    [
      { model: { type: 'BPE', vocab: { a: 1e9 } } },
      'model.vocab."a": expected an integer from 0 to 16777216, got 1000000000',
    ],
    [{ added_tokens: {} }, 'added_tokens: expected an array, got {}'],
    [{ added_tokens: [{ id: 1 }] }, 'added_tokens[0]: expected an object with id and content, got {"id":1}'],
    [
      { added_tokens: [{ id: '1', content: 'x' }] },
      'added_tokens[0].id: expected an integer from 0 to 16777216, got "1"',
    ],
    [
      { decoder: { type: 'Morse' } },
      'expected a tokenizer, got one that cannot be built: Unknown Decoder type: Morse',
    ],
  ])('%j', async (change, message) => {
    const directory = await changed((json) => ({ ...json, ...change }));
    expect(await failure(() => Tokenizer.load(directory))).toBe(
      `QUTLASS_E_CHECKPOINT ${join(directory, 'tokenizer.json')}: ${message}`,
    );
  });
});

describe('TokenStream', () => {
  const pieces = (ids: readonly number[], options = {}) => {
    const stream = tokenizer.createDecoder(options);
    return [...ids.map((id) => stream.push(id)), stream.end()];
  };

  it('waits for the last byte of a character', () => {
    expect(pieces(tokenizer.encode('né 😀!'))).toEqual(['n', '', 'é', ' ', '', '', '', '😀', '!', '']);
  });

  it('gives U+FFFD as soon as no byte can complete a character, or at the end', () => {
    const [first, second] = tokenizer.encode('日') as [number, number];
    const [letter] = tokenizer.encode('a') as [number];
    expect(pieces([first, second, letter])).toEqual(['', '', '\uFFFDa', '']);
    expect(pieces([first, first])).toEqual(['', '\uFFFD', '\uFFFD']);
  });

  it('streams text that holds U+FFFD itself', () => {
    const ids = tokenizer.encode('a\uFFFDb');
    expect(pieces(ids).join('')).toBe('a\uFFFDb');
  });

  it('can be used again after the end', () => {
    const stream = tokenizer.createDecoder();
    const [first] = tokenizer.encode('日') as [number];
    stream.push(first);
    expect(stream.end()).toBe('\uFFFD');
    expect(stream.push(tokenizer.encode('a')[0] as number)).toBe('a');
    expect(stream.end()).toBe('');
  });

  it('stays as it was if an id is refused', async () => {
    const stream = tokenizer.createDecoder();
    const [first, ...rest] = tokenizer.encode('é') as [number, ...number[]];
    stream.push(first);
    expect(await failure(() => stream.push(5000))).toBe(
      'QUTLASS_E_ARGUMENT ids[1]: expected an id of the vocabulary, got 5000',
    );
    expect(rest.map((id) => stream.push(id)).join('')).toBe('é');
  });

  it('adds up to decode, for any tokens', () => {
    const ids = fc.array(fc.nat(1023), { maxLength: 40 });
    fc.assert(
      fc.property(ids, fc.boolean(), (ids, skipSpecialTokens) => {
        expect(pieces(ids, { skipSpecialTokens }).join('')).toBe(
          tokenizer.decode(ids, { skipSpecialTokens }),
        );
      }),
      { numRuns: 2000 },
    );
  });

  it('adds up to decode, with no half characters, for any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        const parts = pieces(tokenizer.encode(text));
        expect(parts.join('')).toBe(text);
        if (!text.includes('\uFFFD'))
          for (const part of parts) expect(part).not.toMatch(/\uFFFD|\p{Surrogate}/u);
      }),
      { numRuns: 1000 },
    );
  });

  it('keeps the spaces between words of decoders that drop the first one', async () => {
    // The layout of Llama 2: words start with U+2581, unknown characters are byte tokens.
    const directory = await temporaryDirectory();
    const words = [
      '<unk>',
      '<s>',
      '</s>',
      '\u2581',
      '\u2581a',
      '\u2581b',
      'c',
      '<0xC3>',
      '<0xA9>',
      '\u2581\u2581',
    ];
    const json = {
      added_tokens: [
        { id: 1, content: '<s>', special: true },
        { id: 2, content: '</s>', special: true },
      ],
      normalizer: null,
      pre_tokenizer: null,
      post_processor: null,
      decoder: {
        type: 'Sequence',
        decoders: [
          { type: 'Replace', pattern: { String: '\u2581' }, content: ' ' },
          { type: 'ByteFallback' },
          { type: 'Fuse' },
          { type: 'Strip', content: ' ', start: 1, stop: 0 },
        ],
      },
      model: {
        type: 'BPE',
        byte_fallback: true,
        unk_token: '<unk>',
        vocab: Object.fromEntries(words.map((word, id) => [word, id])),
        merges: [],
      },
    };
    await writeFile(join(directory, 'tokenizer.json'), JSON.stringify(json));
    const llama2 = await Tokenizer.load(directory);
    const stream = (ids: readonly number[], skipSpecialTokens: boolean) => {
      const decoder = llama2.createDecoder({ skipSpecialTokens });
      return ids.map((id) => decoder.push(id)).join('') + decoder.end();
    };
    expect(stream([1, 4, 5, 6, 3, 7, 8, 2, 4], true)).toBe('a bc é a');
    fc.assert(
      fc.property(fc.array(fc.nat(9), { maxLength: 12 }), fc.boolean(), (ids, skipSpecialTokens) => {
        expect(stream(ids, skipSpecialTokens)).toBe(llama2.decode(ids, { skipSpecialTokens }));
      }),
      { numRuns: 2000 },
    );
  });
});
