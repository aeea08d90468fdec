import { describe, expect, it } from 'vitest';
import { Resource, scope, unscoped } from './resource.js';
import { failure } from './test-support.js';

class Block extends Resource {
  releases = 0;
  readonly parts: Block[];

  constructor(...parts: Block[]) {
    super();
    this.parts = parts;
  }

  use(): void {
    this.requireLive('block');
  }

  override owned(): Iterable<Resource> {
    return this.parts;
  }

  protected release(): void {
    this.releases += 1;
  }
}

describe('dispose', () => {
  it('releases once', () => {
    const block = new Block();
    expect(block.disposed).toBe(false);
    block.use();
    block.dispose();
    block.dispose();
    block[Symbol.dispose]();
    expect([block.disposed, block.releases]).toEqual([true, 1]);
    expect(failure(() => block.use())).toBe('QUTLASS_E_DISPOSED block: used after dispose()');
  });

  it('comes at the end of a block with using', () => {
    let seen: Block;
    {
      using block = new Block();
      seen = block;
      expect(block.disposed).toBe(false);
    }
    expect(seen.disposed).toBe(true);
  });
});

describe('scope', () => {
  it('keeps the result and frees the rest', () => {
    let rest: Block | undefined;
    const kept = scope(() => {
      rest = new Block();
      return new Block();
    });
    expect([kept.disposed, rest?.disposed]).toEqual([false, true]);
  });

  it('looks into arrays and plain objects', () => {
    const result = scope(() => ({
      list: [new Block(), [new Block()]],
      block: new Block(),
      count: 1,
      none: null,
    }));
    const [first, second] = result.list;
    expect([first, (second as Block[])[0], result.block].map((block) => (block as Block).disposed)).toEqual([
      false,
      false,
      false,
    ]);
  });

  it('does not look into other objects', () => {
    const { blocks } = { blocks: scope(() => new Map([['a', new Block()]])) };
    expect(blocks.get('a')?.disposed).toBe(true);
  });

  it('keeps what the result owns', () => {
    const whole = scope(() => new Block(new Block(new Block()), new Block()));
    const [first, second] = whole.parts;
    expect([first, first?.parts[0], second].map((block) => block?.disposed)).toEqual([false, false, false]);
  });

  it('leaves alone what was there before', () => {
    const outside = new Block();
    expect(scope(() => outside)).toBe(outside);
    expect(scope(() => 3)).toBe(3);
    expect(outside.disposed).toBe(false);
  });

  it('hands the result to the surrounding scope', () => {
    let inner: Block | undefined;
    const outer = scope(() => {
      inner = scope(() => new Block());
      expect(inner.disposed).toBe(false);
      return new Block();
    });
    expect([inner?.disposed, outer.disposed]).toEqual([true, false]);
    const through = scope(() => scope(() => new Block()));
    expect(through.disposed).toBe(false);
  });

  it('frees once what was disposed inside', () => {
    const blocks: Block[] = [];
    scope(() => {
      using block = new Block();
      blocks.push(block);
    });
    expect(blocks[0]?.releases).toBe(1);
  });

  it('frees everything when the body throws, and goes on in the surrounding scope', () => {
    const error = new Error('body');
    let inside: Block | undefined;
    let after: Block | undefined;
    scope(() => {
      expect(() =>
        scope(() => {
          inside = new Block();
          throw error;
        }),
      ).toThrow(error);
      expect(inside?.disposed).toBe(true);
      after = new Block();
      expect(after.disposed).toBe(false);
    });
    expect(after?.disposed).toBe(true);
    const outside = new Block();
    expect(outside.disposed).toBe(false);
  });

  it('refuses a promise, whose own failure stays quiet', async () => {
    let block: Block | undefined;
    const body = async () => {
      block = new Block();
      await undefined;
      block.use();
    };
    expect(failure(() => scope(body as () => never))).toBe(
      'QUTLASS_E_ARGUMENT scope: expected a synchronous function, got one that returns a promise',
    );
    expect(block?.disposed).toBe(true);
    await new Promise((resolve) => setImmediate(resolve));
  });
});

describe('unscoped', () => {
  it('takes what the body creates out of every scope', () => {
    let cached: Block | undefined;
    let temporary: Block | undefined;
    let later: Block | undefined;
    scope(() => {
      scope(() => {
        cached = unscoped(() => {
          scope(() => {
            temporary = new Block();
          });
          return new Block();
        });
        expect(temporary?.disposed).toBe(true);
        later = new Block();
      });
      expect(later?.disposed).toBe(true);
    });
    expect(cached?.disposed).toBe(false);
  });

  it('restores the scopes after a failure', () => {
    let block: Block | undefined;
    scope(() => {
      expect(() =>
        unscoped(() => {
          throw new Error('body');
        }),
      ).toThrow('body');
      block = new Block();
    });
    expect(block?.disposed).toBe(true);
  });
});
