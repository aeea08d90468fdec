#include <utility>

#include "device.h"

using qutlass::Context;
using qutlass::fail;
using qutlass::guarded;
using qutlass::Recording;
using qutlass::Work;

namespace qutlass {

Recording::~Recording() {
  for (void* block : retained_) device_.memory.release(block);
}

void Recording::add(std::initializer_list<const void*> operands, Work work) {
  for (const void* operand : operands) {
    if (void* block = operand ? device_.memory.retain(operand) : nullptr) retained_.push_back(block);
  }
  nodes_.push_back(std::move(work));
}

void Recording::replay(Context& context) const {
  for (const Work& node : nodes_) node(context);
}

}  // namespace qutlass

qutlass_stream::qutlass_stream(qutlass_device& owner) : device(owner), thread_([this] { work(); }) {
  std::lock_guard lock(device.mutex);
  device.streams.insert(this);
}

qutlass_stream::~qutlass_stream() {
  {
    std::lock_guard lock(device.mutex);
    device.streams.erase(this);
  }
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void qutlass_stream::work() {
  for (;;) {
    Work next;
    {
      std::unique_lock lock(mutex_);
      running_ = false;
      if (queue_.empty()) idle_.notify_all();
      changed_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
      if (queue_.empty()) return;
      next = std::move(queue_.front());
      queue_.pop_front();
      running_ = true;
    }
    try {
      next(device.context);
    } catch (...) {
      const qutlass_status status = qutlass::status_of_current_exception();
      std::lock_guard lock(mutex_);
      if (failure_ == QUTLASS_OK) {
        failure_ = status;
        failure_text_ = qutlass_last_error();
      }
    }
  }
}

void qutlass_stream::enqueue(Work work) {
  {
    std::lock_guard lock(mutex_);
    queue_.push_back(std::move(work));
  }
  changed_.notify_one();
}

void qutlass_stream::launch(std::initializer_list<const void*> operands, Work work) {
  if (capture) {
    capture->add(operands, std::move(work));
  } else {
    enqueue(std::move(work));
  }
}

void qutlass_stream::require_not_capturing(const char* operation) const {
  if (capture) fail(QUTLASS_E_CAPTURE, "%s cannot be captured into a graph", operation);
}

void qutlass_stream::wait() {
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [&] { return queue_.empty() && !running_; });
}

std::pair<qutlass_status, std::string> qutlass_stream::take_failure() {
  std::lock_guard lock(mutex_);
  return {std::exchange(failure_, QUTLASS_OK), std::exchange(failure_text_, {})};
}

bool qutlass_stream::busy() {
  std::lock_guard lock(mutex_);
  return running_ || !queue_.empty();
}

extern "C" {

qutlass_status qutlass_stream_create(qutlass_device* device, qutlass_stream** stream) {
  return guarded([&] {
    if (!device || !stream) fail(QUTLASS_E_ARGUMENT, "device and stream: expected pointers, got NULL");
    *stream = new qutlass_stream(*device);
  });
}

void qutlass_stream_destroy(qutlass_stream* stream) { delete stream; }

qutlass_status qutlass_stream_synchronize(qutlass_stream* stream) {
  return guarded([&] {
    if (!stream) fail(QUTLASS_E_ARGUMENT, "stream: expected a stream, got NULL");
    stream->require_not_capturing("synchronize");
    stream->wait();
    auto [status, text] = stream->take_failure();
    if (status != QUTLASS_OK) throw qutlass::Error(status, text);
  });
}

qutlass_status qutlass_stream_call(qutlass_stream* stream, qutlass_callback fn, void* user) {
  return guarded([&] {
    if (!stream || !fn) fail(QUTLASS_E_ARGUMENT, "stream and fn: expected pointers, got NULL");
    stream->require_not_capturing("a host callback");
    stream->enqueue([stream, fn, user](Context&) {
      auto [status, text] = stream->take_failure();
      if (status != QUTLASS_OK) qutlass::set_last_error(text.c_str());
      fn(user, status);
    });
  });
}

qutlass_status qutlass_event_record(qutlass_stream* stream, qutlass_event** event) {
  return guarded([&] {
    if (!stream || !event) fail(QUTLASS_E_ARGUMENT, "stream and event: expected pointers, got NULL");
    stream->require_not_capturing("recording an event");
    auto signal = std::make_shared<qutlass::Signal>();
    *event = new qutlass_event{signal};
    stream->enqueue([signal](Context&) {
      std::lock_guard lock(signal->mutex);
      signal->set = true;
      signal->changed.notify_all();
    });
  });
}

qutlass_status qutlass_stream_wait(qutlass_stream* stream, qutlass_event* event) {
  return guarded([&] {
    if (!stream || !event) fail(QUTLASS_E_ARGUMENT, "stream and event: expected pointers, got NULL");
    stream->require_not_capturing("waiting for an event");
    stream->enqueue([signal = event->signal](Context&) {
      std::unique_lock lock(signal->mutex);
      signal->changed.wait(lock, [&] { return signal->set; });
    });
  });
}

void qutlass_event_destroy(qutlass_event* event) { delete event; }

qutlass_status qutlass_graph_begin(qutlass_stream* stream) {
  return guarded([&] {
    if (!stream) fail(QUTLASS_E_ARGUMENT, "stream: expected a stream, got NULL");
    stream->require_not_capturing("a second capture");
    stream->capture = std::make_shared<Recording>(stream->device);
  });
}

qutlass_status qutlass_graph_end(qutlass_stream* stream, qutlass_graph** graph) {
  return guarded([&] {
    if (!stream || !graph) fail(QUTLASS_E_ARGUMENT, "stream and graph: expected pointers, got NULL");
    if (!stream->capture) fail(QUTLASS_E_CAPTURE, "stream: expected a stream being captured");
    *graph = new qutlass_graph{std::exchange(stream->capture, nullptr)};
  });
}

qutlass_status qutlass_graph_launch(qutlass_graph* graph, qutlass_stream* stream) {
  return guarded([&] {
    if (!graph || !stream) fail(QUTLASS_E_ARGUMENT, "graph and stream: expected pointers, got NULL");
    stream->require_not_capturing("launching a graph");
    if (&graph->recording->device() != &stream->device) {
      fail(QUTLASS_E_ARGUMENT, "stream: expected a stream of the device that the graph was captured on");
    }
    // The task shares the recording: a graph destroyed meanwhile stays alive until it has run.
    stream->enqueue([recording = graph->recording](Context& context) { recording->replay(context); });
  });
}

int64_t qutlass_graph_node_count(const qutlass_graph* graph) { return graph ? graph->recording->size() : 0; }

void qutlass_graph_destroy(qutlass_graph* graph) { delete graph; }

}  // extern "C"
