// Failures inside the library are exceptions; the C ABI turns them into a status and a thread-local message.
#pragma once

#include <exception>
#include <new>
#include <string>
#include <utility>

#include "qutlass.h"

namespace qutlass {

class Error : public std::exception {
 public:
  Error(qutlass_status status, std::string message) : status_(status), message_(std::move(message)) {}
  const char* what() const noexcept override { return message_.c_str(); }
  qutlass_status status() const noexcept { return status_; }

 private:
  qutlass_status status_;
  std::string message_;
};

// Throws an Error with a printf-style message: the argument, what was expected, what came.
[[noreturn]] void fail(qutlass_status status, const char* format, ...) __attribute__((format(printf, 2, 3)));

void set_last_error(const char* message) noexcept;

// The status of the exception in flight; its text becomes the last error.
qutlass_status status_of_current_exception() noexcept;

// Runs the body of a C ABI function.
template <typename Body>
qutlass_status guarded(Body&& body) noexcept {
  try {
    std::forward<Body>(body)();
    return QUTLASS_OK;
  } catch (...) {
    return status_of_current_exception();
  }
}

}  // namespace qutlass
