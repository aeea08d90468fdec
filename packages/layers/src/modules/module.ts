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
    this.requireLive(this.constructor.name);
    const parameter = this.#parameters.get(name);
    if (!parameter) {
      const names = [...this.#parameters.keys()].join(', ');
      throw invalidArgument('QUTLASS_E_ARGUMENT', 'name', `one of ${names || '(none)'}`, JSON.stringify(name));
    }
    return parameter;
  }

  /** The child at this path, for example `model.layers.0.mlp`. */
  child(path: string): Module {
    this.requireLive(this.constructor.name);
    const direct = this.#children.get(path);
    if (direct) return direct;
    const [prefix, child] = this.#childAbove(path);
    return child.child(path.slice(prefix.length + 1));
  }

  /** Puts another module in the place of a child, and returns the old one, which is the caller's from now on. */
  replaceChild(path: string, replacement: Module): Module {
    const old = this.#children.get(path);
    if (old) {
      this.#children.set(path, replacement);
      return old;
    }
    const [prefix, child] = this.#childAbove(path);
    return child.replaceChild(path.slice(prefix.length + 1), replacement);
  }

  /** The direct child that the path leads through. A name may itself hold dots, as in `layers.0`. */
  #childAbove(path: string): [name: string, child: Module] {
    for (const entry of this.#children) {
      if (path.startsWith(`${entry[0]}.`)) return entry;
    }
    throw invalidArgument('QUTLASS_E_ARGUMENT', 'path', 'the path of a module', JSON.stringify(path));
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

  /** Moves all parameters to a device. On failure the modules moved so far stay there. */
  async to(device: Device): Promise<this> {
    for (const [, module] of this.modules()) {
      for (const [name, parameter] of module.#parameters) {
        if (parameter.device === device) continue;
        const moved = await copyTo(parameter, device);
        module.#parameters.set(name, moved);
        parameter.dispose();
      }
      module.parametersMoved();
    }
    return this;
  }

  /** Drops what was derived from the parameters. */
  protected parametersMoved(): void {}

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
  const data = await tensor.toArray();
  return Tensor.from(data, { shape: tensor.shape, dtype: tensor.dtype, device });
}
