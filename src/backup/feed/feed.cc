#include "backup/feed/feed.h"

#include <utility>

namespace recover::backup {

std::string_view to_string(FeedKind kind) {
  switch (kind) {
    case FeedKind::Fanotify: return "fanotify";
    case FeedKind::Inotify: return "inotify";
  }
  return "";
}

Outcome<std::unique_ptr<Feed>> arm_feed(const FeedOptions& options) {
  auto better = arm_fanotify(options);
  if (better) return better;
  auto other = arm_inotify(options);
  if (other) return other;
  return fail(other.error().kind, better.error().message + "; " + other.error().message);
}

}  // namespace recover::backup
