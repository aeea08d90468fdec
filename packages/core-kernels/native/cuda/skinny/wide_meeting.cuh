// Where the sums of the blocks of a cluster meet, in their shared memory, and become rows of D.
#pragma once

#include "cuda/atoms/cluster.cuh"
#include "cuda/skinny/wide_multiply.cuh"

namespace qutlass::cuda {

// Asks for what the rows of a row block need at the end.
__device__ inline void prefetch_row_ends(const SkinnyProblem& p, int row_block) {
  if (threadIdx.x % 32 == 0) prefetch_l2(p.row_factors + min(row_block, p.row_blocks - 1) * kTileRows);
}

// Block r adds up rows 8 n to 8 n + 7 of A with n % cluster == r, in the order of the blocks. A lane's sums
// meet those of the lanes in its place, so that warps wait for nobody but their like.
template <typename W>
class WideMeeting {
  static constexpr int kTiles = W::kTokens / 8;

 public:
  __host__ __device__ static constexpr int owned(int cluster) { return (kTiles + cluster - 1) / cluster; }
  // [block][eight rows of A][thread], and two barriers for each warp.
  __host__ __device__ static constexpr int bytes(const WidePlan& plan) {
    return plan.cluster * owned(plan.cluster) * plan.warps * 32 * static_cast<int>(sizeof(float4)) +
           2 * plan.warps * static_cast<int>(sizeof(Barrier));
  }

  __device__ WideMeeting(const WidePlan& plan, int rank, uint8_t* shared)
      : cluster_(plan.cluster), rank_(rank), owned_(owned(plan.cluster)), threads_(plan.warps * 32) {
    const int warp = static_cast<int>(threadIdx.x) / 32;
    auto* const sums = reinterpret_cast<float4*>(shared);
    sums_ = sums + threadIdx.x;
    came_ = reinterpret_cast<Barrier*>(sums + cluster_ * owned_ * threads_) + 2 * warp;
    free_ = came_ + 1;
  }
  // By one lane of every warp.
  __device__ void init() const {
    came_->init(1);
    free_->init(cluster_);
  }

  // first_token: of the rows of bf16; round: how often sums have met before.
  __device__ void run(const SkinnyProblem& p, const WideSums<W>& mine, int row_block, int first_token,
                      int round, bool last) const {
    const int lane = static_cast<int>(threadIdx.x) % 32, first = row_block * kTileRows + lane / 4;
    const double factor = p.epilogue.factor() * kSumFactor<W::T::kCode>;
    const RowEnd ends[2] = {RowEnd(p, factor, min(first, p.n - 1)),
                            RowEnd(p, factor, min(first + 8, p.n - 1))};
    send(mine, round);
    if (kHasClusters && cluster_ > 1) came_->wait(round % 2);
    const float4* from = sums_;
    for (int n = rank_; n < kTiles && first_token + n * 8 < p.m; n += cluster_, from += threads_) {
      float4 sum{};
#pragma unroll 4
      for (int block = 0; block < cluster_; ++block) {
        const float4 other = from[block * owned_ * threads_];
        sum.x += other.x, sum.y += other.y, sum.z += other.z, sum.w += other.w;
      }
      // Columns of the operand are two rows of D, or the parts of one.
      const bool whole = p.parts == 1;
      const int at = first_token + n * 8 + lane % 4 * 2, token = whole ? at : at / 2;
      const float even[2] = {sum.x, sum.z}, odd[2] = {sum.y, sum.w};
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int row = first + i * 8;
        if (row >= p.n) continue;
        if (token < p.rows) ends[i].store(p, token, row, whole ? even[i] : even[i] + odd[i]);
        if (whole && token + 1 < p.rows) ends[i].store(p, token + 1, row, odd[i]);
      }
    }
    if (kHasClusters && cluster_ > 1 && !last) {
      __syncwarp();
      if (lane < cluster_) free_->arrive_at(Peer(free_, lane));
    }
  }

 private:
  __device__ void send(const WideSums<W>& mine, int round) const {
    if (kHasClusters && cluster_ > 1) {
      if (round > 0) free_->wait((round - 1) % 2);
      const int rows = (kTiles - rank_ + cluster_ - 1) / cluster_;
      if (threadIdx.x % 32 == 0) came_->expect(cluster_ * rows * 32 * static_cast<int>(sizeof(float4)));
    }
    int to = 0;
    float4* own = sums_ + rank_ * owned_ * threads_;
#pragma unroll
    for (int n = 0; n < kTiles; ++n) {
      const float4 value = make_float4(mine[n][0], mine[n][1], mine[n][2], mine[n][3]);
      if (kHasClusters && cluster_ > 1) {
        came_->send(own, Peer(came_, to), value);
      } else {
        *own = value;
      }
      if (++to == cluster_) to = 0, own += threads_;
    }
  }

  // What becomes of the sums of a row of B, in float32 where no factor is out of its range.
  struct RowEnd {
    double factor;
    float narrow, addend;
    bool fits;

    __device__ RowEnd(const SkinnyProblem& p, double common, int row)
        : factor(common * static_cast<double>(p.row_factors[row])),
          narrow(static_cast<float>(factor)),
          addend(static_cast<float>(p.epilogue.addend(row))),
          fits(fabsf(narrow) > 0x1p-60f && fabsf(narrow) < 0x1p60f) {}
    __device__ void store(const SkinnyProblem& p, int token, int row, float sum) const {
      const Epilogue& end = p.epilogue;
      const float a_factor = p.a_factors ? p.a_factors[token] : 1.0f;
      if (fits && fabsf(a_factor) > 0x1p-60f && fabsf(a_factor) < 0x1p60f) {
        store_dense(end.out, end.out_dtype, static_cast<int64_t>(token) * end.cols + row,
                    fmaf(narrow * a_factor, sum, addend));
      } else {
        end.store(token, row, factor * static_cast<double>(a_factor), static_cast<double>(sum));
      }
    }
  };

  int cluster_, rank_, owned_, threads_;
  Barrier *came_, *free_;
  float4* sums_;
};

}  // namespace qutlass::cuda
