#include "config/backup_tables.h"

#include <algorithm>
#include <utility>

#include "config/backup_place_tables.h"
#include "config/backup_source_tables.h"

namespace recover::config {
namespace {

using namespace core;  // NOLINT(google-build-using-namespace): the table speaks its vocabulary.

constexpr std::uint32_t kKeptMax = 1'000'000;

// "0 2 * * *", "@daily", or `never`.
Codec<std::optional<Cron>> cron() {
  Codec<std::optional<Cron>> codec;
  codec.shape = R"({"type":"string"})";
  codec.read = [](Reader& reader, const Node& node,
                  const std::optional<Cron>&) -> std::optional<std::optional<Cron>> {
    const auto text = reader.plain_text(node);
    if (!text) return std::nullopt;
    if (*text == "never") return std::optional<Cron>();
    auto parsed = Cron::parse(*text);
    if (parsed) return std::optional(std::move(*parsed));
    reader.mistake(node.place, parsed.error());
    return std::nullopt;
  };
  codec.show = [](const std::optional<Cron>& value) {
    return json_string(value ? value->text() : "never");
  };
  return codec;
}

Codec<std::vector<std::vector<std::string>>> commands() {
  return silent(list_of(list_of(text(), 1)));
}

const Table<BackupSchedule>& schedule_table() {
  using P = BackupSchedule;
  static const auto kTable =
      Table<P>("When it runs, in the machine's time zone.", default_backup_schedule())
          .add("full", &P::full, cron(), "Every file is read; five fields, or six with seconds.")
          .add("incremental", &P::incremental, cron(), "What changed is read.")
          .add("jitter", &P::jitter, duration(Duration::zero(), hours{24}),
               "Later by up to so long, the same for one run each time it is asked.")
          .add("catch_up", &P::catch_up, flag(),
               "A run missed while recoverd was down is made up for, once.")
          .add("grace", &P::grace, duration(seconds{1}),
               "Later than this after it was due, it is overdue; default: the time from one run to "
               "the next, at most 1h, and twice what the last one took.");
  return kTable;
}

void read_schedule(Reader& reader, const Entry& entry, BackupTypeDraft& type) {
  if (entry.value.kind == Node::Kind::Map) {
    schedule_table().apply(reader, entry.value, type.schedule);
  } else if (const auto read = cron().read(reader, entry.value, {})) {
    type.schedule.full = std::nullopt;
    type.schedule.incremental = *read;
  }
  type.never_at =
      type.schedule.full || type.schedule.incremental ? std::nullopt : std::optional(entry.place);
}

// Where all sources are databases: every six hours, for what the file does not say.
void plan_for_databases(const Node& node, BackupTypeDraft& type) {
  const bool databases =
      !type.sources.empty() && std::ranges::all_of(type.sources, [](const BackupSource& source) {
        return is_database(source.native);
      });
  const Entry* const given = node.find("schedule");
  if (!databases || (given != nullptr && given->value.kind != Node::Kind::Map)) return;
  if (given == nullptr || !given->value.has("full")) type.schedule.full = std::nullopt;
  if (given == nullptr || !given->value.has("incremental")) {
    type.schedule.incremental = *Cron::parse("0 */6 * * *");
  }
}

const Table<BackupRetention>& retention_table() {
  using P = BackupRetention;
  static const auto kTable =
      Table<P>("What is kept, as restic's --keep-… have it; none: everything.")
          .add("last", &P::last, whole<std::uint32_t>(0, kKeptMax), "The newest.")
          .add("hourly", &P::hourly, whole<std::uint32_t>(0, kKeptMax), "One an hour.")
          .add("daily", &P::daily, whole<std::uint32_t>(0, kKeptMax), "One a day.")
          .add("weekly", &P::weekly, whole<std::uint32_t>(0, kKeptMax), "One a week.")
          .add("monthly", &P::monthly, whole<std::uint32_t>(0, kKeptMax), "One a month.")
          .add("yearly", &P::yearly, whole<std::uint32_t>(0, kKeptMax), "One a year.")
          .add("within", &P::within, silent(duration(seconds{1})), "All so new.");
  return kTable;
}

void read_retention(Reader& reader, const Entry& entry, BackupTypeDraft& type) {
  if (entry.value.kind == Node::Kind::Map) {
    retention_table().apply(reader, entry.value, type.retention);
  } else if (const auto within = duration(seconds{1}).read(reader, entry.value, {})) {
    type.retention.within = *within;
  }
}

void check_protection(Reader& reader, const Node& node, BackupTypeDraft& type) {
  if (!type.continuous && node.has("reconcile")) {
    reader.mistake(node.find("reconcile")->place,
                   "`reconcile` is for a type with `continuous: true`");
  }
  if (!type.continuous && type.never_at) {
    reader.mistake(*type.never_at, "a type that never runs: leave it out");
  }
  if (!type.continuous) return;
  for (const char* const key : {"before", "after"}) {
    if (!node.has(key)) continue;
    reader.mistake(node.find(key)->place,
                   "`" + std::string(key) +
                       "` would not be run for what is backed up all the time: make what needs it "
                       "a type of its own, without `continuous`");
  }
  // What would be incremental is made all the time.
  if (!node.has("schedule")) type.schedule.incremental = std::nullopt;
  const bool all_paths = std::ranges::all_of(
      type.sources, [](const BackupSource& source) { return !source.paths.empty(); });
  if (!all_paths) {
    reader.mistake(node.find("sources")->value.place, "only `paths` can be protected continuously");
  }
}

const Table<BackupTypeDraft>& type_table() {
  using P = BackupTypeDraft;
  static const auto kTable =
      Table<P>("A kind of backup.")
          .add("repository", text().shape, "Its name; none: the only one.",
               [](Reader& reader, const Entry& entry, P& type) {
                 type.repository_named = name().read(reader, entry.value, {});
               })
          .add("sources", &BackupType::sources, silent(list_of(object(backup_source_table()), 1)),
               "Each is a snapshot, a database one or more.", Need::Required)
          .add("schedule", R"({"oneOf":[{"type":"string"},)" + schedule_table().shape() + "]}",
               "Two times, or one for all that is read is what changed.", read_schedule)
          .add("retention", R"({"oneOf":[{"type":"string"},)" + retention_table().shape() + "]}",
               "`7d`, or rules.", read_retention)
          .add("before", &BackupType::before, commands(), "One that fails ends the backup.")
          .add("after", &BackupType::after, commands(), "Run whatever became of it.")
          .add("timeout", &BackupType::timeout, duration(seconds{1}),
               "Then it is killed, and has failed.")
          .add("continuous", &BackupType::continuous, flag(),
               "A worker follows the paths, and what changed is on the store within `rpo`; beside "
               "the schedule, which is then without `incremental` by default.")
          .add("rpo", &BackupType::rpo, duration(seconds{1}),
               "How old a change may become before it is on the store; default of a continuous "
               "type by priority: critical 1m, high 15m, else 1h; of others as the schedule says.")
          .add("rto", &BackupType::rto, duration(seconds{1}),
               "How long a drill may take to restore everything; default by priority: critical 5m, "
               "high 15m, medium 1h, low 4h.")
          .add("reconcile", &BackupType::reconcile, duration(seconds{1}),
               "How often a continuous type's paths are walked whatever was told; default: 24h.")
          .add("load", &BackupType::load, object(backup_load_table()), {})
          .add("attempts", &BackupType::attempts, whole<std::uint32_t>(1, 100), "Of one run.")
          .add("retry_delay", &BackupType::retry_delay, duration(), "Between two attempts.")
          .add("priority", &BackupType::priority, one_of<Priority>(),
               "Who goes first where several wait for one repository.")
          .check([](Reader& reader, const Node& node, P& type) {
            if (const Entry* const sources = node.find("sources")) {
              check_source_names(reader, sources->value, type.sources);
            }
            plan_for_databases(node, type);
            check_protection(reader, node, type);
          });
  return kTable;
}

template <class Value>
void read_named(Reader& reader, const Entry& entry, std::string_view what,
                const Table<Value>& table, std::vector<Value>& values) {
  if (entry.value.kind != Node::Kind::Map) {
    reader.unexpected(entry.value, "a map of " + std::string(what) + " by name");
    return;
  }
  for (const Entry& each : entry.value.entries) {
    if (!is_identifier(each.key)) {
      reader.mistake(each.place, "`" + each.key +
                                     "` cannot be a name here: up to 64 letters, digits, `-`, `_` "
                                     "and `.`");
    }
    Value value;
    value.name = each.key;
    table.apply(reader, each.value, value);
    values.push_back(std::move(value));
  }
}

// Which repository each type goes to.
void resolve_repositories(Reader& reader, const Node& node, BackupDraft& backup) {
  std::vector<std::string_view> names;
  for (const BackupRepository& one : backup.repositories) names.push_back(one.name);
  for (BackupTypeDraft& draft : backup.type_drafts) {
    if (names.empty()) continue;  // Told below.
    if (!draft.repository_named && names.size() > 1) {
      reader.mistake(node.find("types")->place,
                     "the type `" + draft.name + "` needs a `repository`: there are several");
    }
    if (draft.repository_named) {
      const auto found = std::ranges::find(names, draft.repository_named->text);
      if (found == names.end()) {
        reader.mistake(draft.repository_named->place,
                       "there is no repository `" + draft.repository_named->text + "`" +
                           did_you_mean(draft.repository_named->text, names));
        continue;
      }
      draft.repository = static_cast<std::uint32_t>(found - names.begin());
    }
    backup.types.push_back(draft);
  }
  const Entry* const repositories = node.find("repositories");
  if (names.empty() && repositories != nullptr) {
    reader.mistake(repositories->place, "`repositories` must not be empty");
  }
}

}  // namespace

BackupSchedule default_backup_schedule() {
  return {.full = *Cron::parse("0 2 * * *"), .incremental = *Cron::parse("@hourly")};
}

BackupDraft::BackupDraft() {
  verification = *Cron::parse("30 3 * * *");
  restore_test = *Cron::parse("30 4 * * sun");
  drill = *Cron::parse("30 5 1 * *");
  catch_up = *Cron::parse("15 * * * *");
}

const Table<BackupDraft>& backup_table() {
  static const auto kTable =
      Table<BackupDraft>("What is backed up.")
          .add(
              "repositories",
              R"({"type":"object","additionalProperties":)" + backup_repository_table().shape() +
                  "}",
              "Where to, by name.",
              [](Reader& reader, const Entry& entry, BackupDraft& backup) {
                read_named(reader, entry, "repositories", backup_repository_table(),
                           backup.repositories);
              },
              Need::Required)
          .add(
              "types", R"({"type":"object","additionalProperties":)" + type_table().shape() + "}",
              "What and when, by name.",
              [](Reader& reader, const Entry& entry, BackupDraft& backup) {
                read_named(reader, entry, "types", type_table(), backup.type_drafts);
              },
              Need::Required)
          .add("verification", &BackupPolicy::verification, cron(),
               "When every byte of each repository is read; `never`.")
          .add("restore_test", &BackupPolicy::restore_test, cron(),
               "When a sample of each type is restored and compared; `never`.")
          .add("drill", &BackupPolicy::drill, cron(),
               "When everything of each type's newest backup is restored and compared, and its "
               "databases are started; `never`.")
          .add("catch_up", &BackupPolicy::catch_up, cron(),
               "When the members of each `mirror` get what they lack; `never`.")
          .add("scratch", &BackupPolicy::scratch, silent(absolute_path()),
               "An existing folder with room for what is restored as a test; default: below "
               "`state_dir`.")
          .add("scratch_max", &BackupPolicy::scratch_max, silent(size(1024)),
               "A drill that needs more room than this fails; default: what is free, less 5 %.")
          .check([](Reader& reader, const Node& node, BackupDraft& backup) {
            resolve_repositories(reader, node, backup);
          });
  return kTable;
}

}  // namespace recover::config
