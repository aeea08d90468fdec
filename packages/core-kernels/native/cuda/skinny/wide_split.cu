#include "cuda/skinny/wide_split.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>

#include "shared_memory.h"

namespace qutlass::cuda {
namespace {

constexpr int kMaxCluster = 8;

__global__ void probe_kernel() {}

// Clusters of a size that run at once with a multiprocessor for each block. Blocks of a cluster are
// neighbours, and how many multiprocessors are differs from card to card, so only the driver knows.
int cluster_capacity(int size, const cudaDeviceProp& device) {
  if (size == 1) return device.multiProcessorCount;
  static std::mutex mutex;
  static std::map<std::pair<int, int>, int> known;
  int ordinal = 0;
  check(cudaGetDevice(&ordinal), "asking for the current GPU");
  std::lock_guard lock(mutex);
  int& count = known[{ordinal, size}];
  if (count > 0) return count;
  const int bytes = static_cast<int>(device.sharedMemPerBlockOptin);
  allow_shared_memory<probe_kernel>(bytes);
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeClusterDimension;
  attribute.val.clusterDim.x = static_cast<unsigned>(size);
  attribute.val.clusterDim.y = attribute.val.clusterDim.z = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = static_cast<unsigned>(size * device.multiProcessorCount);
  config.blockDim = 32;
  config.dynamicSmemBytes = static_cast<size_t>(bytes);
  config.attrs = &attribute;
  config.numAttrs = 1;
  check(cudaOccupancyMaxActiveClusters(&count, probe_kernel, &config), "asking for clusters");
  return count = std::max(count, 1);
}

// Clocks of an H100 by what was measured (docs/kernels/skinny.md), for a tile of every warp: A costs a block
// the same however many warps multiply it.
double tile_clocks(const WideExtent& extent, int warps) {
  return 1150 * extent.blocks * extent.tokens / 128.0 + 55 * warps;
}
// And for the sums of a set to meet.
double meeting_clocks(const WideExtent& extent, int warps) { return 5.5 * warps * extent.tokens; }

}  // namespace

WideSplit choose_wide_split(const WideExtent& extent, const WideLimits& limits,
                            const cudaDeviceProp& device) {
  const int max_cluster = limits.clusters ? std::min(kMaxCluster, extent.tiles) : 1;
  WideSplit best{};
  double least = 0;
  for (int warps = 4; warps <= limits.warps; warps += 4) {
    const int items = (extent.row_blocks + warps - 1) / warps * extent.chunks;
    for (int cluster = 1; cluster <= max_cluster; ++cluster) {
      const int tiles = (extent.tiles + cluster - 1) / cluster;
      const bool idle = (cluster - 1) * tiles >= extent.tiles;  // a block
      if (idle || !limits.fits(warps, cluster)) continue;
      const int clusters = cluster_capacity(cluster, device), waves = (items + clusters - 1) / clusters;
      const double clocks = waves * (tiles * tile_clocks(extent, warps) + meeting_clocks(extent, warps));
      if (best.warps == 0 || clocks < least) {
        best = {warps, cluster, clusters};
        least = clocks;
      }
    }
  }
  return best;
}

}  // namespace qutlass::cuda
