// What looks on as a process exchanges with others: shared by all its groups.
#pragma once
#include "sluice/dist/trace.h"
#include "sluice/dist/traffic.h"
#include "sluice/dist/watch.h"

namespace sluice::dist {

struct Observers {
  Traffic traffic;
  TraceWriter trace;
  Watch* watch = nullptr;  // none where nobody watches; lives as long as exchanges are made
};

}  // namespace sluice::dist
