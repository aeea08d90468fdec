import { type FloatDType, scope, siluMul, type Tensor } from '@qutlass/core-kernels';
import { siluMulQuantize } from '@qutlass/quant';
import { Deferred } from './deferred.js';
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
  forward<D extends FloatDType>(x: Tensor<D> | Deferred<D>): Tensor<D> {
    return scope(() => {
      const projections = ['gate_proj', 'up_proj'].map((name) => this.#linear(name));
      const [gate, up] = LinearModule.forwardGroup(projections, x) as [Tensor<D>, Tensor<D>];
      const gated = new Deferred(gate, {
        dense: () => siluMul(gate, up),
        quantized: (format, options) => siluMulQuantize(gate, up, format, options),
      });
      return this.#linear('down_proj').forward(gated);
    });
  }

  #linear(name: string): LinearModule {
    return this.child(name) as LinearModule;
  }
}
