import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { SAFETENSORS_DTYPES } from './safetensors-dtype.js';
import { failure, fileBytes, parseFile, testdata } from './test-support.js';

const u8 = (shape: string, offsets: string) => `{"dtype":"U8","shape":${shape},"data_offsets":${offsets}}`;

describe('valid headers', () => {
  it('gives tensors in the order of their data, whatever the order of the keys', () => {
    const header = parseFile(fileBytes(`{"b":${u8('[2,2]', '[3,7]')},"a":${u8('[3]', '[0,3]')}}`, 7));
    expect([...header.tensors.values()]).toEqual([
      { name: 'a', dtype: 'U8', shape: [3], byteLength: 3, begin: 0 },
      { name: 'b', dtype: 'U8', shape: [2, 2], byteLength: 4, begin: 3 },
    ]);
    expect(header.metadata).toEqual(new Map());
  });

  it('reads __metadata__ apart from the tensors', () => {
    const header = parseFile(fileBytes('{"__metadata__":{"format":"pt","__proto__":"x"}}'));
    expect(header.metadata).toEqual(
      new Map([
        ['format', 'pt'],
        ['__proto__', 'x'],
      ]),
    );
    expect(header.tensors.size).toBe(0);
  });

  it('treats names of object members as ordinary names', () => {
    const header = parseFile(
      fileBytes(`{"__proto__":${u8('[1]', '[0,1]')},"constructor":${u8('[1]', '[1,2]')}}`, 2),
    );
    expect([...header.tensors.keys()]).toEqual(['__proto__', 'constructor']);
    expect(header.tensors.get('toString')).toBeUndefined();
    expect(({} as Record<string, unknown>).dtype).toBeUndefined();
  });

  it('allows scalars, tensors without elements at any boundary, spaces after the header, and no tensors', () => {
    const empty = u8('[0,5]', '[1,1]');
    const header = parseFile(
      fileBytes(`{"e":${empty},"s":${u8('[]', '[0,1]')},"t":${u8('[1]', '[1,2]')}}  `, 2),
    );
    expect([...header.tensors.values()].map(({ name, byteLength }) => [name, byteLength])).toEqual([
      ['s', 1],
      ['e', 0],
      ['t', 1],
    ]);
    expect(parseFile(fileBytes('{}')).tensors.size).toBe(0);
  });

  it.each(Object.entries(SAFETENSORS_DTYPES))('knows %s, %i bits an element', (dtype, bits) => {
    const header = parseFile(
      fileBytes(`{"t":{"dtype":"${dtype}","shape":[2,4],"data_offsets":[0,${bits}]}}`, bits),
    );
    expect(header.tensors.get('t')).toMatchObject({ dtype, byteLength: bits });
  });

  it.each(['models/tiny-llama/model.safetensors', 'golden/codec.safetensors'])('parses %s', async (name) => {
    const bytes = await readFile(join(testdata, name));
    const json: Record<string, unknown> = JSON.parse(
      bytes.toString('utf8', 8, 8 + Number(bytes.readBigUInt64LE())),
    );
    const { tensors, metadata } = parseFile(bytes);
    expect(json.__metadata__ ?? {}).toEqual(Object.fromEntries(metadata));
    for (const [name, { dtype, shape, begin, byteLength }] of tensors) {
      expect(json[name]).toEqual({ dtype, shape, data_offsets: [begin, begin + byteLength] });
    }
    expect(tensors.size).toBe(Object.keys(json).filter((key) => key !== '__metadata__').length);
  });
});

const lengthOnly = (length: bigint, rest = 0) => {
  const bytes = Buffer.alloc(8 + rest);
  bytes.writeBigUInt64LE(length);
  return bytes;
};
const one = (entry: string, dataLength = 0) => fileBytes(`{"w":${entry}}`, dataLength);
const nested = `{"w":${'['.repeat(100_000)}`;

// Each case: what is wrong, the file, and the message after "x.safetensors: ".
const invalid: readonly (readonly [string, Uint8Array, string])[] = [
  ['an empty file', Buffer.alloc(0), 'expected at least 8 bytes, got 0'],
  ['a file without a whole header length', Buffer.alloc(7), 'expected at least 8 bytes, got 7'],
  [
    'a header above the limit',
    lengthOnly(100_000_001n),
    'header length: expected at most 100000000, got 100000001',
  ],
  [
    'a length beyond 2^53',
    lengthOnly(2n ** 64n - 1n),
    'header length: expected at most 100000000, got 18446744073709551615',
  ],
  [
    'a length beyond the file',
    lengthOnly(11n, 10),
    'header length: expected at most the 10 bytes left in the file, got 11',
  ],
  [
    'a truncated header',
    fileBytes(`{"w":${u8('[1]', '[0,1]')}}`).subarray(0, 20),
    'header length: expected at most the 12 bytes left in the file, got 53',
  ],
  [
    'bytes that are not UTF-8',
    fileBytes(Buffer.from([0x7b, 0x22, 0xff, 0x22])),
    'header: expected UTF-8 text, got bytes that are not',
  ],
  ['no header', fileBytes(''), 'header: expected it to start with "{", got nothing'],
  ['a space first', fileBytes(' {}'), 'header: expected it to start with "{", got " "'],
  ['a byte order mark', fileBytes('\uFEFF{}'), 'header: expected it to start with "{", got "\uFEFF"'],
  ['an array', fileBytes('[]'), 'header: expected it to start with "{", got "["'],
  ['an open object', fileBytes('{'), 'header: expected valid JSON, got CloseBraceExpected at character 1'],
  ['a trailing comma', one('1,'), 'header: expected valid JSON, got PropertyNameExpected at character 7'],
  ['a comment', fileBytes('{/**/}'), 'header: expected valid JSON, got InvalidCommentToken at character 1'],
  [
    'text after the object',
    fileBytes('{}x'),
    'header: expected valid JSON, got InvalidSymbol at character 2',
  ],
  ['a second object', fileBytes('{}{}'), 'header: expected valid JSON, got EndOfFileExpected at character 2'],
  [
    'padding with zeros',
    fileBytes('{}\0\0'),
    'header: expected valid JSON, got InvalidSymbol at character 2',
  ],
  [
    'half of a surrogate pair',
    fileBytes('{"\\ud800":1}'),
    'header: expected Unicode text, got an unpaired surrogate at character 1',
  ],
  [
    'a tensor twice',
    fileBytes(`{"w":${u8('[1]', '[0,1]')},"\\u0077":${u8('[1]', '[1,2]')}}`, 2),
    'header: expected unique keys, got "w" twice',
  ],
  [
    'a key of a tensor twice',
    one('{"dtype":"U8","dtype":"I8"}'),
    'header: "w": expected unique keys, got "dtype" twice',
  ],
  [
    'a key of the metadata twice',
    fileBytes('{"__metadata__":{"a":"1","a":"1"}}'),
    'header: "__metadata__": expected unique keys, got "a" twice',
  ],
  [
    'nesting without end',
    fileBytes(nested),
    'header: expected at most 3 levels of nesting, got more at character 7',
  ],
  [
    'metadata that is a string',
    fileBytes('{"__metadata__":"pt"}'),
    '__metadata__: expected an object of strings, got "pt"',
  ],
  [
    'metadata that is null',
    fileBytes('{"__metadata__":null}'),
    '__metadata__: expected an object of strings, got null',
  ],
  [
    'metadata with a number',
    fileBytes('{"__metadata__":{"step":1}}'),
    '__metadata__: "step": expected a string, got 1',
  ],
  [
    'metadata with an array of numbers',
    fileBytes('{"__metadata__":{"steps":[1.5]}}'),
    '__metadata__: "steps": expected a string, got [1.5]',
  ],
  [
    'a tensor that is an array',
    one('[]'),
    'tensor "w": expected an object of dtype, shape, data_offsets, got []',
  ],
  [
    'an unknown key',
    one('{"dtype":"U8","shape":[],"data_offsets":[0,1],"order":"F"}', 1),
    'tensor "w": expected only dtype, shape, data_offsets, got "order"',
  ],
  [
    'an unknown dtype',
    one('{"dtype":"f32","shape":[],"data_offsets":[0,4]}', 4),
    'tensor "w": dtype: expected one of BOOL, F4, F6_E2M3, F6_E3M2, U8, I8, F8_E5M2, F8_E4M3, F8_E8M0, F8_E4M3FNUZ, F8_E5M2FNUZ, I16, U16, F16, BF16, I32, U32, F32, C64, F64, I64, U64, got "f32"',
  ],
  [
    'a dtype named like an object member',
    one('{"dtype":"constructor","shape":[],"data_offsets":[0,4]}', 4),
    'tensor "w": dtype: expected one of BOOL, F4, F6_E2M3, F6_E3M2, U8, I8, F8_E5M2, F8_E4M3, F8_E8M0, F8_E4M3FNUZ, F8_E5M2FNUZ, I16, U16, F16, BF16, I32, U32, F32, C64, F64, I64, U64, got "constructor"',
  ],
  [
    'no shape',
    one('{"dtype":"U8","data_offsets":[0,1]}', 1),
    'tensor "w": shape: expected an array, got nothing',
  ],
  ['a shape that is a number', one(u8('4', '[0,4]'), 4), 'tensor "w": shape: expected an array, got 4'],
  [
    'a negative extent',
    one(u8('[2,-1]', '[0,1]'), 1),
    'tensor "w": shape[1]: expected an integer from 0 to 2^53 - 1, got -1',
  ],
  [
    'a fractional extent',
    one(u8('[1.5]', '[0,1]'), 1),
    'tensor "w": shape[0]: expected an integer from 0 to 2^53 - 1, got 1.5',
  ],
  [
    'an extent in float notation',
    one(u8('[1.0]', '[0,1]'), 1),
    'tensor "w": shape[0]: expected an integer from 0 to 2^53 - 1, got 1.0',
  ],
  [
    'a negative zero',
    one(u8('[-0]', '[0,0]')),
    'tensor "w": shape[0]: expected an integer from 0 to 2^53 - 1, got -0',
  ],
  [
    'a string extent',
    one(u8('["1"]', '[0,1]'), 1),
    'tensor "w": shape[0]: expected an integer from 0 to 2^53 - 1, got "1"',
  ],
  [
    'an extent beyond 2^53',
    one(u8('[9007199254740993]', '[0,1]'), 1),
    'tensor "w": shape[0]: expected an integer from 0 to 2^53 - 1, got 9007199254740992',
  ],
  [
    'a product that overflows 64 bits to 0',
    one(u8('[4294967296,4294967296]', '[0,0]')),
    'tensor "w": shape: expected a U8 tensor below 2^53 bits, got [4294967296,4294967296]',
  ],
  [
    'a size in bits that overflows',
    one('{"dtype":"F64","shape":[1099511627776,1024],"data_offsets":[0,0]}'),
    'tensor "w": shape: expected a F64 tensor below 2^53 bits, got [1099511627776,1024]',
  ],
  [
    'half a byte',
    one('{"dtype":"F4","shape":[3,1],"data_offsets":[0,2]}', 2),
    'tensor "w": shape: expected a whole number of bytes, got [3,1] of F4, 12 bits',
  ],
  [
    'six bits',
    one('{"dtype":"F6_E3M2","shape":[],"data_offsets":[0,1]}', 1),
    'tensor "w": shape: expected a whole number of bytes, got [] of F6_E3M2, 6 bits',
  ],
  [
    'no offsets',
    one('{"dtype":"U8","shape":[]}'),
    'tensor "w": data_offsets: expected two integers from 0 to 2^53 - 1, the first not above the second, got nothing',
  ],
  [
    'one offset',
    one(u8('[1]', '[1]'), 1),
    'tensor "w": data_offsets: expected two integers from 0 to 2^53 - 1, the first not above the second, got [1]',
  ],
  [
    'reversed offsets',
    one(u8('[1]', '[1,0]'), 1),
    'tensor "w": data_offsets: expected two integers from 0 to 2^53 - 1, the first not above the second, got [1,0]',
  ],
  [
    'a negative offset',
    one(u8('[1]', '[-1,0]'), 1),
    'tensor "w": data_offsets[0]: expected an integer from 0 to 2^53 - 1, got -1',
  ],
  [
    'offsets beyond 2^53',
    one(u8('[1]', '[18446744073709551614,18446744073709551615]'), 1),
    'tensor "w": data_offsets: expected two integers from 0 to 2^53 - 1, the first not above the second, got [18446744073709552000,18446744073709552000]',
  ],
  [
    'offsets too far apart',
    one(u8('[2,2]', '[0,5]'), 5),
    'tensor "w": data_offsets: expected 4 bytes for U8 [2,2], got 5',
  ],
  [
    'truncated data',
    one(u8('[64]', '[0,64]'), 63),
    'tensor "w": data_offsets: expected an end within the 63 bytes of data, got 64; the file may be truncated',
  ],
  [
    'an overlap',
    fileBytes(`{"a":${u8('[4]', '[0,4]')},"b":${u8('[4]', '[3,7]')}}`, 7),
    'tensor "b": data_offsets: expected to begin at 4, where tensor "a" ends, got 3: an overlap',
  ],
  [
    'two tensors on the same bytes',
    fileBytes(`{"a":${u8('[4]', '[0,4]')},"b":${u8('[4]', '[0,4]')}}`, 4),
    'tensor "b": data_offsets: expected to begin at 4, where tensor "a" ends, got 0: an overlap',
  ],
  [
    'a tensor without elements inside another',
    fileBytes(`{"a":${u8('[4]', '[0,4]')},"b":${u8('[0]', '[2,2]')}}`, 4),
    'tensor "b": data_offsets: expected to begin at 4, where tensor "a" ends, got 2: an overlap',
  ],
  [
    'a hole before the first tensor',
    one(u8('[1]', '[1,2]'), 2),
    'tensor "w": data_offsets: expected to begin at 0, where the data begins, got 1: a hole',
  ],
  [
    'a hole between tensors',
    fileBytes(`{"a":${u8('[4]', '[0,4]')},"b":${u8('[4]', '[5,9]')}}`, 9),
    'tensor "b": data_offsets: expected to begin at 4, where tensor "a" ends, got 5: a hole',
  ],
  [
    'bytes after the last tensor',
    one(u8('[1]', '[0,1]'), 3),
    'expected the data to end at 1, where tensor "w" ends, got 3 bytes of data',
  ],
  [
    'data without tensors',
    fileBytes('{}', 3),
    'expected the data to end at 0, where the data begins, got 3 bytes of data',
  ],
];

describe('invalid headers', () => {
  it.each(invalid)('refuses %s', async (_fault, bytes, message) => {
    expect(await failure(() => parseFile(bytes))).toBe(`QUTLASS_E_CHECKPOINT x.safetensors: ${message}`);
  });

  it('shortens a name of any length in the message', async () => {
    const message = await failure(() => parseFile(fileBytes(`{"${'n'.repeat(1_000_000)}":1}`)));
    expect(message.length).toBeLessThan(300);
  });
});
