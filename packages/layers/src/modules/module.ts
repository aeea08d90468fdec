import { type Device, invalidArgument, Resource, Tensor } from '@qutlass/core-kernels';
import { type QuantizedParts, QuantizedTensor } from '@qutlass/quant';

/** What a module stores: a dense tensor, or a matrix in a quantized format. */
export type Parameter = Tensor | QuantizedTensor;

/**
 * A part of a model: named parameters and named children, which it owns. Names are those of Hugging Face checkpoints, so the
 * path of a parameter in the tree is its name in the file.
 */
export abstract class Module extends Resource {
  readonly #parameters = new Map<string, Parameter>();
  readonly #children = new Map<string, Module>();

  /** Takes over a parameter. */
  protected addParameter(name: string, parameter: Parameter): void {
    this.#parameters.set(name, parameter);
  }

  /** Takes over a child. */
  protected addChild(name: string, child: Module): void {
    this.#children.set(name, child);
  }

  /**
   * The parameter of this name.
   * @throws QutlassError `QUTLASS_E_DISPOSED`, `QUTLASS_E_ARGUMENT`
   */
  parameter(name: string): Parameter {
    this.requireLive();
    const parameter = this.#parameters.get(name);
    if (!parameter) {
      const names = [...this.#parameters.keys()].join(', ');
      throw invalidArgument(
        'QUTLASS_E_ARGUMENT',
        'name',
        `one of ${names || '(none)'}`,
        JSON.stringify(name),
      );
    }
    return parameter;
  }

  /**
   * The module at this path, for example `model.layers.0.mlp`.
   * @throws QutlassError `QUTLASS_E_DISPOSED`, `QUTLASS_E_ARGUMENT`
   */
  child(path: string): Module {
    this.requireLive();
    const [parent, name] = this.#locate(path);
    return parent.#children.get(name) as Module;
  }

  /**
   * Puts another module in the place of a child, takes it over, and returns the old one, which is the caller's from now on.
   * @throws QutlassError `QUTLASS_E_DISPOSED`; `QUTLASS_E_ARGUMENT` for another path or a module that cannot stand there;
   *   `QUTLASS_E_SHAPE` for a linear layer with other features
   */
  replaceChild(path: string, replacement: Module): Module {
    this.requireLive();
    replacement.requireLive('replacement');
    const [parent, name] = this.#locate(path);
    const old = parent.#children.get(name) as Module;
    old.requireSubstitute(replacement);
    parent.#children.set(name, replacement);
    return old;
  }

  /** Checks that a module can stand in the place of this one. */
  protected requireSubstitute(replacement: Module): void {
    if (replacement.constructor === this.constructor) return;
    throw invalidArgument(
      'QUTLASS_E_ARGUMENT',
      'replacement',
      `another ${this.constructor.name}`,
      replacement.constructor.name,
    );
  }

  /** The parent of the module at this path, and its name there. A name may itself hold dots, as in `layers.0`. */
  #locate(path: string): [parent: Module, name: string] {
    let parent: Module = this;
    let rest = path;
    while (!parent.#children.has(rest)) {
      const next = [...parent.#children].find(([name]) => rest.startsWith(`${name}.`));
      if (!next)
        throw invalidArgument('QUTLASS_E_ARGUMENT', 'path', 'that of a module', JSON.stringify(path));
      rest = rest.slice(next[0].length + 1);
      parent = next[1];
    }
    return [parent, rest];
  }

  /** This module and all below it with their paths, parents first. */
  *modules(prefix = ''): Generator<[path: string, module: Module]> {
    yield [prefix, this];
    for (const [name, child] of this.#children) yield* child.modules(prefix ? `${prefix}.${name}` : name);
  }

  /** All parameters of this module and below with their paths. */
  *parameters(prefix = ''): Generator<[path: string, parameter: Parameter]> {
    for (const [path, module] of this.modules(prefix)) {
      for (const [name, parameter] of module.#parameters) yield [path ? `${path}.${name}` : name, parameter];
    }
  }

  /** Bytes of all parameters. */
  get byteLength(): number {
    let bytes = 0;
    for (const [, parameter] of this.parameters()) bytes += parameter.byteLength;
    return bytes;
  }

  /**
   * Moves all parameters to a device. All are copied before the first is replaced: a failure leaves the module as it was.
   * @throws QutlassError `QUTLASS_E_DISPOSED`, `QUTLASS_E_OUT_OF_MEMORY`
   */
  async to(device: Device): Promise<this> {
    this.requireLive();
    const copies: { module: Module; name: string; copy: Parameter }[] = [];
    try {
      for (const [, module] of this.modules()) {
        for (const [name, parameter] of module.#parameters) {
          if (parameter.device !== device)
            copies.push({ module, name, copy: await copyTo(parameter, device) });
        }
      }
      this.requireLive();
    } catch (error) {
      for (const { copy } of copies) copy.dispose();
      throw error;
    }
    for (const { module, name, copy } of copies) {
      module.#parameters.get(name)?.dispose();
      module.#parameters.set(name, copy);
    }
    for (const [, module] of this.modules()) module.moved(device);
    return this;
  }

  /** Called after {@link to}: what was derived from the parameters, or belongs to them, has to follow. */
  protected moved(_device: Device): void {}

  override *owned(): Iterable<Resource> {
    yield* this.#parameters.values();
    yield* this.#children.values();
  }

  protected release(): void {
    for (const resource of this.owned()) resource.dispose();
  }
}

async function copyTo(parameter: Parameter, device: Device): Promise<Parameter> {
  if (parameter instanceof Tensor) return copyTensor(parameter, device);
  const copies: Resource[] = [];
  const copy = async <T extends Tensor | undefined>(part: T): Promise<T> => {
    if (!part) return part;
    const moved = await copyTensor(part, device);
    copies.push(moved);
    return moved as T;
  };
  try {
    const parts: QuantizedParts = {
      rows: parameter.rows,
      cols: parameter.cols,
      codes: await copy(parameter.codes),
      scales: await copy(parameter.scales),
      scaleLayout: parameter.scaleLayout,
      zeroPoints: await copy(parameter.zeroPoints),
      globalScale: await copy(parameter.globalScale),
      clipMask: await copy(parameter.clipMask),
      rotation: parameter.rotation,
    };
    return new QuantizedTensor(parameter.format, parts);
  } catch (error) {
    for (const part of copies) part.dispose();
    throw error;
  }
}

async function copyTensor(tensor: Tensor, device: Device): Promise<Tensor> {
  return Tensor.fromBytes(await tensor.toBytes(), { shape: tensor.shape, dtype: tensor.dtype, device });
}
