#include "status.h"

#include <cstdarg>
#include <cstdio>

namespace qutlass {
namespace {
thread_local std::string last_error;
}

void fail(qutlass_status status, const char* format, ...) {
  char text[1024];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  throw Error(status, text);
}

void set_last_error(const char* message) noexcept {
  try {
    last_error = message;
  } catch (...) {
    last_error.clear();
  }
}

qutlass_status status_of_current_exception() noexcept {
  try {
    throw;
  } catch (const Error& error) {
    set_last_error(error.what());
    return error.status();
  } catch (const std::bad_alloc&) {
    set_last_error("out of host memory");
    return QUTLASS_E_OUT_OF_MEMORY;
  } catch (const std::exception& error) {
    set_last_error(error.what());
    return QUTLASS_E_INTERNAL;
  } catch (...) {
    set_last_error("unknown failure");
    return QUTLASS_E_INTERNAL;
  }
}

}  // namespace qutlass

extern "C" {
const char* qutlass_last_error(void) { return qutlass::last_error.c_str(); }
int32_t qutlass_abi_version(void) { return QUTLASS_ABI_VERSION; }
const char* qutlass_version(void) { return QUTLASS_VERSION; }
}
