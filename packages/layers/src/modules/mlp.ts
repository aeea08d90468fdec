import { type FloatDType, scope, siluMul, type Tensor } from '@qutlass/core-kernels';
import { LinearModule } from './linear.js';
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
    return scope(() => {
      const projections = ['gate_proj', 'up_proj'].map((name) => this.#linear(name));
      const [gate, up] = LinearModule.forwardGroup(projections, x);
      return this.#linear('down_proj').forward(siluMul(gate!, up!));
    });
  }

  #linear(name: string): LinearModule {
    return this.child(name) as LinearModule;
  }
}
