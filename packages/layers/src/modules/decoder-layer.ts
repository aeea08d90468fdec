import type { FloatDType, Tensor } from '@qutlass/core-kernels';
import type { Attention, AttentionContext } from './attention.js';
import type { GatedMLP } from './mlp.js';
import { Module } from './module.js';
import type { RMSNorm } from './rms-norm.js';

export interface DecoderLayerParts {
  inputNorm: RMSNorm;
  attention: Attention;
  postAttentionNorm: RMSNorm;
  mlp: GatedMLP;
}

/** One layer of a Llama: attention and feed-forward block, each after a norm and added to the residual stream. */
export class DecoderLayer extends Module {
  constructor({ inputNorm, attention, postAttentionNorm, mlp }: DecoderLayerParts) {
    super();
    this.addChild('input_layernorm', inputNorm);
    this.addChild('self_attn', attention);
    this.addChild('post_attention_layernorm', postAttentionNorm);
    this.addChild('mlp', mlp);
  }

  /**
   * `delta` [M, hidden] is what the layer before has not yet added to the residual stream [M, hidden], null for the first
   * layer; so is the result. Each norm does the addition in the same pass.
   */
  forward<D extends FloatDType>(
    delta: Tensor<D> | null,
    residual: Tensor<D>,
    context: AttentionContext,
  ): Tensor<D> {
    const inputNorm = this.child('input_layernorm') as RMSNorm;
    const attentionInput = delta ? inputNorm.defer(delta, residual) : inputNorm.defer(residual);
    using attended = (this.child('self_attn') as Attention).forward(attentionInput, context);
    const mlpInput = (this.child('post_attention_layernorm') as RMSNorm).defer(attended, residual);
    return (this.child('mlp') as GatedMLP).forward(mlpInput);
  }
}
