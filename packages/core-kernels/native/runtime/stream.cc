// Streams, events and graphs of the C ABI, whatever the device.
#include <utility>

#include "device.h"

using qutlass::fail;
using qutlass::guarded;

namespace qutlass {

HeldBlocks::~HeldBlocks() {
  for (void* block : blocks_) device_.release_recorded(block);
}

void HeldBlocks::add(std::span<const void* const> pointers) {
  for (const void* pointer : pointers) {
    if (void* block = pointer ? device_.memory.retain(pointer) : nullptr) blocks_.push_back(block);
  }
}

Recording::Recording(qutlass_device& owner) : device(owner), blocks(owner) {}

}  // namespace qutlass

qutlass_stream::qutlass_stream(qutlass_device& owner) : device(owner) {
  std::lock_guard lock(device.mutex);
  device.streams.insert(this);
}

qutlass_stream::~qutlass_stream() = default;

void qutlass_stream::detach() {
  std::lock_guard lock(device.mutex);
  device.streams.erase(this);
}

void qutlass_stream::require_not_capturing(const char* operation) const {
  if (capture) fail(QUTLASS_E_CAPTURE, "%s cannot be captured into a graph", operation);
}

extern "C" {

qutlass_status qutlass_stream_create(qutlass_device* device, qutlass_stream** stream) {
  return guarded([&] {
    if (!device || !stream) fail(QUTLASS_E_ARGUMENT, "device and stream: expected pointers, got NULL");
    *stream = device->make_stream().release();
  });
}

void qutlass_stream_destroy(qutlass_stream* stream) { delete stream; }

qutlass_status qutlass_stream_synchronize(qutlass_stream* stream) {
  return guarded([&] {
    if (!stream) fail(QUTLASS_E_ARGUMENT, "stream: expected a stream, got NULL");
    stream->require_not_capturing("synchronize");
    stream->wait();
  });
}

qutlass_status qutlass_stream_call(qutlass_stream* stream, qutlass_callback fn, void* user) {
  return guarded([&] {
    if (!stream || !fn) fail(QUTLASS_E_ARGUMENT, "stream and fn: expected pointers, got NULL");
    stream->require_not_capturing("a host callback");
    stream->call([fn, user](qutlass_status status, const char* text) {
      if (status != QUTLASS_OK) qutlass::set_last_error(text);
      fn(user, status);
    });
  });
}

qutlass_status qutlass_event_record(qutlass_stream* stream, int32_t timing, qutlass_event** event) {
  return guarded([&] {
    if (!stream || !event) fail(QUTLASS_E_ARGUMENT, "stream and event: expected pointers, got NULL");
    stream->require_not_capturing("recording an event");
    *event = new qutlass_event{stream->record(timing != 0), &stream->device, timing != 0};
  });
}

qutlass_status qutlass_event_elapsed(qutlass_event* start, qutlass_event* end, double* seconds) {
  return guarded([&] {
    if (!start || !end || !seconds) {
      fail(QUTLASS_E_ARGUMENT, "start, end and seconds: expected pointers, got NULL");
    }
    if (!start->timing || !end->timing) {
      fail(QUTLASS_E_ARGUMENT, "%s: expected an event recorded with timing", start->timing ? "end" : "start");
    }
    if (start->device != end->device)
      fail(QUTLASS_E_ARGUMENT, "end: expected an event of the device of start");
    *seconds = end->event->seconds_since(*start->event);
  });
}

qutlass_status qutlass_stream_wait(qutlass_stream* stream, qutlass_event* event) {
  return guarded([&] {
    if (!stream || !event) fail(QUTLASS_E_ARGUMENT, "stream and event: expected pointers, got NULL");
    stream->require_not_capturing("waiting for an event");
    stream->wait_for(event->event);
  });
}

void qutlass_event_destroy(qutlass_event* event) { delete event; }

qutlass_status qutlass_graph_begin(qutlass_stream* stream) {
  return guarded([&] {
    if (!stream) fail(QUTLASS_E_ARGUMENT, "stream: expected a stream, got NULL");
    stream->require_not_capturing("a second capture");
    stream->begin_capture();
  });
}

qutlass_status qutlass_graph_end(qutlass_stream* stream, qutlass_graph** graph) {
  return guarded([&] {
    if (!stream || !graph) fail(QUTLASS_E_ARGUMENT, "stream and graph: expected pointers, got NULL");
    if (!stream->capture) fail(QUTLASS_E_CAPTURE, "stream: expected a stream being captured");
    *graph = new qutlass_graph{stream->end_capture()};
  });
}

qutlass_status qutlass_graph_launch(qutlass_graph* graph, qutlass_stream* stream) {
  return guarded([&] {
    if (!graph || !stream) fail(QUTLASS_E_ARGUMENT, "graph and stream: expected pointers, got NULL");
    stream->require_not_capturing("launching a graph");
    if (&graph->recording->device != &stream->device) {
      fail(QUTLASS_E_ARGUMENT, "stream: expected a stream of the device that the graph was captured on");
    }
    stream->replay(graph->recording);
  });
}

int64_t qutlass_graph_node_count(const qutlass_graph* graph) {
  return graph ? graph->recording->operations : 0;
}

void qutlass_graph_destroy(qutlass_graph* graph) { delete graph; }

}  // extern "C"
