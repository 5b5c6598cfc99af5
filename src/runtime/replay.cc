#include "runtime/replay.h"

#include <boost/json.hpp>

#include <algorithm>

#include "core/snapshot.h"
#include "runtime/event_codec.h"

namespace recover::runtime {
namespace {

namespace json = boost::json;

Result<core::Engine, std::string> engine_from(std::shared_ptr<const core::Policy> policy,
                                              const ports::StoredEntry& from) {
  auto engine = core::Engine::restore(std::move(policy), from.entry.body);
  if (engine) return engine;
  return Unexpected("snapshot " + std::to_string(from.sequence) + ": " + engine.error());
}

// Steps one stored event again.
void replay_entry(const ports::StoredEntry& stored, Codec* codec, Restored& restored,
                  core::Output& output) {
  restored.sequence = stored.sequence;
  restored.last = std::max(restored.last, stored.entry.at);
  if (stored.entry.kind != ports::EntryKind::Event) return;
  const auto event =
      codec != nullptr ? codec->event_of(stored) : decode(stored.entry.type, stored.entry.body);
  if (!event) {
    restored.warnings.push_back("entry " + std::to_string(stored.sequence) + ": " + event.error());
    return;
  }
  restored.engine.step(*event, stored.entry.at, output);
  ++restored.replayed;
}

Result<PolicyText, std::string> text_of(const json::object& object) {
  PolicyText text;
  for (const json::value& pair : object.at("sources").as_array()) {
    const json::array& both = pair.as_array();
    text.sources.emplace_back(std::string(both.at(0).as_string()),
                              std::string(both.at(1).as_string()));
  }
  text.boot_id = std::string(object.at("boot_id").as_string());
  text.offset_ns = object.at("offset_ns").as_int64();
  return text;
}

}  // namespace

std::string encode(const PolicyText& text) {
  json::array sources;
  for (const auto& [path, content] : text.sources) {
    sources.push_back(json::array{json::string(path), json::string(content)});
  }
  return json::serialize(json::object{
      {"sources", std::move(sources)}, {"boot_id", text.boot_id}, {"offset_ns", text.offset_ns}});
}

Result<PolicyText, std::string> decode_policy_text(std::string_view body) {
  try {
    return text_of(json::parse(json::string_view(body.data(), body.size())).as_object());
  } catch (const std::exception& error) {
    return Unexpected("policy entry: " + std::string(error.what()));
  }
}

Result<std::optional<Restored>, std::string> restore(ports::Journal& journal,
                                                     const PolicyLoader& load, Codec* codec) {
  const auto policy_entry = journal.latest(ports::EntryKind::Policy);
  if (!policy_entry) return Unexpected(policy_entry.error().message);
  const auto snapshot = journal.latest(ports::EntryKind::Snapshot);
  if (!snapshot) return Unexpected(snapshot.error().message);
  if (!*policy_entry || !*snapshot) return std::optional<Restored>();
  auto text = decode_policy_text((*policy_entry)->entry.body);
  if (!text) return Unexpected(std::move(text).error());
  auto policy = load(*text);
  if (!policy) return Unexpected(std::move(policy).error());
  auto engine = engine_from(std::move(*policy), **snapshot);
  if (!engine) return Unexpected(std::move(engine).error());
  Restored restored{.engine = std::move(*engine),
                    .text = std::move(*text),
                    .last = (*snapshot)->entry.at,
                    .sequence = (*snapshot)->sequence,
                    .since_snapshot = 0,
                    .is_older = !core::is_of_this_version((*snapshot)->entry.body),
                    .replayed = 0,
                    .warnings = {}};
  core::Output output;
  const auto replayed =
      journal.replay((*snapshot)->sequence + 1, [&](const ports::StoredEntry& stored) {
        replay_entry(stored, codec, restored, output);
        return true;
      });
  if (!replayed) return Unexpected(replayed.error().message);
  restored.since_snapshot = restored.sequence - (*snapshot)->sequence;
  return std::optional(std::move(restored));
}

std::int64_t clock_offset_ns(const std::optional<Restored>& before, const std::string& boot_id,
                             std::int64_t monotonic_now_ns) {
  if (!before) return 0;
  if (before->text.boot_id == boot_id) return before->text.offset_ns;
  return before->last.time_since_epoch().count() + 1 - monotonic_now_ns;
}

}  // namespace recover::runtime
