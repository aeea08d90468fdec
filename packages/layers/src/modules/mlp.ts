import { type FloatDType, siluMul, type Tensor } from '@qutlass/core-kernels';
import type { LinearModule } from './linear.js';
import { Module } from './module.js';

/** The gated feed-forward block of Llama: down(silu(gate(x)) * up(x)). */
export class GatedMLP extends Module {
  constructor(gateProj: LinearModule, upProj: LinearModule, downProj: LinearModule) {
    super();
    this.addChild('gate_proj', gateProj);
    this.addChild('up_proj', upProj);
    this.addChild('down_proj', downProj);
  }

  /** x [M, hidden] to [M, hidden]. */
  forward<D extends FloatDType>(x: Tensor<D>): Tensor<D> {
    using gate = this.#linear('gate_proj').forward(x);
    using up = this.#linear('up_proj').forward(x);
    using product = siluMul(gate, up);
    return this.#linear('down_proj').forward(product);
  }

  #linear(name: string): LinearModule {
    return this.child(name) as LinearModule;
  }
}
