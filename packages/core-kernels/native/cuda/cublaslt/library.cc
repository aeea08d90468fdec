#include "cuda/cublaslt/library.h"

#include <dlfcn.h>

#include <cstdlib>
#include <optional>

namespace qutlass::cuda::cublaslt {
namespace {

constexpr size_t kOldest = 120000;

// A program that has one of them loaded, as PyTorch does, gets that one.
constexpr const char* kFiles[] = {"libcublasLt.so.13", "libcublasLt.so.12",
                                  "/usr/local/cuda/lib64/libcublasLt.so.13",
                                  "/usr/local/cuda/lib64/libcublasLt.so.12"};

class Loader {
 public:
  Loader() {
    const char* path = std::getenv("QUTLASS_CUBLASLT_PATH");
    const bool given = path && *path;
    if (given) {
      if (!open(path)) absence_ = std::string("QUTLASS_CUBLASLT_PATH: ") + dlerror();
    } else {
      for (const char* file : kFiles) {
        if (open(file)) break;
      }
      if (!file_) {
        absence_ =
            "cuBLASLt: libcublasLt.so.13 and libcublasLt.so.12 were not found; install cuBLAS, or set "
            "QUTLASS_CUBLASLT_PATH to one of these files";
      }
    }
    if (file_) bind();
  }

  const Library* library() const { return library_ ? &*library_ : nullptr; }
  const std::string& absence() const { return absence_; }

 private:
  bool open(const char* file) {
    file_ = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    return file_ != nullptr;
  }

  template <typename Function>
  void find(Function& function, const char* name) {
    function = reinterpret_cast<Function>(dlsym(file_, name));
    if (!function && absence_.empty()) absence_ = std::string("cuBLASLt: the library has no ") + name;
  }

  void bind() {
    Library found{};
    size_t (*version)() = nullptr;
    find(version, "cublasLtGetVersion");
    find(found.create, "cublasLtCreate");
    find(found.status_name, "cublasLtGetStatusName");
    find(found.matmul, "cublasLtMatmul");
    find(found.algorithm_heuristic, "cublasLtMatmulAlgoGetHeuristic");
    find(found.matmul_desc_create, "cublasLtMatmulDescCreate");
    find(found.matmul_desc_destroy, "cublasLtMatmulDescDestroy");
    find(found.matmul_desc_set, "cublasLtMatmulDescSetAttribute");
    find(found.layout_create, "cublasLtMatrixLayoutCreate");
    find(found.layout_destroy, "cublasLtMatrixLayoutDestroy");
    find(found.preference_create, "cublasLtMatmulPreferenceCreate");
    find(found.preference_destroy, "cublasLtMatmulPreferenceDestroy");
    find(found.preference_set, "cublasLtMatmulPreferenceSetAttribute");
    if (!absence_.empty()) return;
    found.version = version();
    if (found.version < kOldest) {
      absence_ = "cuBLASLt: expected version 12.0 or newer, got number " + std::to_string(found.version);
      return;
    }
    library_ = found;
  }

  void* file_ = nullptr;
  std::optional<Library> library_;
  std::string absence_;
};

const Loader& loader() {
  // Never destroyed: plans use the library until the process ends.
  static const auto* loader = new Loader;
  return *loader;
}

}  // namespace

const Library* library() { return loader().library(); }

std::string library_absence() { return loader().absence(); }

std::string version_text(const Library& library) {
  const auto part = [&](size_t unit) { return std::to_string(library.version / unit % 100); };
  return part(10000) + "." + part(100) + "." + part(1);
}

}  // namespace qutlass::cuda::cublaslt
